"""Provider checks of the command line."""

from __future__ import annotations

import asyncio

from gateway.core.settings import Settings
from gateway.domain.config.catalog import Catalog
from gateway.providers.base import Provider, ProviderHealth
from gateway.providers.http.client import upstream_client
from gateway.providers.registry import PROVIDER_TYPES, build_providers
from gateway.services.operations.config_file import load_catalog


def needs_local_model(settings: Settings) -> bool:
    """Whether a local provider is configured and no other provider is reachable.

    Raises:
        ConfigError: the provider configuration is invalid.
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
    """Check all configured providers concurrently.

    `live_only` skips `local`, `mock` and providers without chat models.
    """
    chatting = {name for model in catalog.models.values() if model.can_chat for name in model.providers}
    async with upstream_client() as http:
        providers = build_providers(catalog, http, local_model_url)
        checked = {
            name: provider
            for name, provider in providers.all.items()
            if provider.configured
            and not (live_only and (not PROVIDER_TYPES[provider.type].external or name not in chatting))
        }
        try:
            found = await asyncio.gather(*(_check(provider) for provider in checked.values()))
        finally:
            await providers.aclose()
    return dict(zip(checked, found, strict=True))


async def missing_models(catalog: Catalog, found: dict[str, ProviderHealth]) -> dict[str, list[str]]:
    """Return the configured models that reachable providers lack, by provider.

    Providers that cannot list their models are left out.
    """
    async with upstream_client() as http:
        providers = build_providers(catalog, http)
        configured = {
            name: sorted({model.model for model in catalog.models.values() if name in model.providers})
            for name, health in found.items()
            if health.reachable
        }
        missing = {
            name: await providers.all[name].missing_models(models) for name, models in configured.items()
        }
        await providers.aclose()
    return {name: models for name, models in missing.items() if models is not None}


async def _check(provider: Provider) -> ProviderHealth:
    try:
        async with asyncio.timeout(3):
            return await provider.check_health()
    except TimeoutError:
        return ProviderHealth(reachable=False, detail="It did not answer within 3 s.")
