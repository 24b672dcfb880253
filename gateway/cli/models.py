"""Which providers answer now, and so whether the small local model is needed."""

from __future__ import annotations

import asyncio

from gateway.core.settings import Settings
from gateway.domain.config.catalog import Catalog
from gateway.providers.base import ChatProvider, ProviderHealth
from gateway.providers.http.client import upstream_client
from gateway.providers.registry import build_chat_providers
from gateway.services.operations.config_file import load_catalog


def needs_local_model(settings: Settings) -> bool:
    """Whether the configuration has a local provider without an address and no other provider answers.

    Raises:
        ConfigError: the provider configuration is wrong.
    """
    catalog = load_catalog(settings.provider_config)
    local = any(config.type == "local" and not config.base_url for config in catalog.providers.values())
    if not local or settings.local_model_url or catalog.mode == "mock":
        return False
    found = asyncio.run(check_providers(catalog, "", live_only=True))
    return not any(health.reachable for health in found.values())


async def check_providers(
    catalog: Catalog, local_model_url: str, *, live_only: bool = False
) -> dict[str, ProviderHealth]:
    """Ask every configured provider at once whether it answers.

    `live_only` leaves out `local`, `mock` and those that answer no chats.
    """
    chatting = {name for model in catalog.models.values() if model.can_chat for name in model.providers}
    async with upstream_client() as http:
        providers = build_chat_providers(catalog, http, local_model_url)
        asked = {
            name: provider
            for name, provider in providers.items()
            if provider.configured
            and not (live_only and (provider.type in ("local", "mock") or name not in chatting))
        }
        try:
            found = await asyncio.gather(*(_check(provider) for provider in asked.values()))
        finally:
            for provider in providers.values():
                await provider.aclose()
    return dict(zip(asked, found, strict=True))


async def missing_models(catalog: Catalog, found: dict[str, ProviderHealth]) -> dict[str, list[str]]:
    """By provider that answers and can tell: the configured models, by its own names, that it lacks."""
    async with upstream_client() as http:
        providers = build_chat_providers(catalog, http, "")
        wanted = {
            name: sorted({model.model for model in catalog.models.values() if name in model.providers})
            for name, health in found.items()
            if health.reachable
        }
        told = {name: await providers[name].missing_models(models) for name, models in wanted.items()}
        for provider in providers.values():
            await provider.aclose()
    return {name: models for name, models in told.items() if models is not None}


async def _check(provider: ChatProvider) -> ProviderHealth:
    try:
        async with asyncio.timeout(3):
            return await provider.check_health()
    except TimeoutError:
        return ProviderHealth(reachable=False, detail="It did not answer in 3 s.")
