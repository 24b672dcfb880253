"""Builds the configured chat providers; a module is imported only when the configuration names its type."""

from __future__ import annotations

import httpx

from gateway.domain.config.catalog import Catalog, ProviderConfig, Timeouts
from gateway.providers.base import ChatProvider
from gateway.providers.discovery import CHAT, find_provider, provider_type_problem


class ProviderMisconfigured(ValueError):
    """A provider of the configuration cannot be built; the message says which, why and what to do."""


def build_chat_providers(
    catalog: Catalog, http: httpx.AsyncClient, local_model_url: str
) -> dict[str, ChatProvider]:
    """One provider object per entry of `providers`, by its name in the configuration.

    Args:
        http: the shared client; timeouts are set per request, its proxies are the caller's decision.
        local_model_url: address of the embedded OpenAI-compatible server with its `/v1`; "" if none runs.

    Raises:
        ProviderMisconfigured: an unknown type, or a base URL that is none.
    """
    providers = {
        name: _build(name, _with_local_url(config, local_model_url), catalog.timeouts_of(config), http)
        for name, config in catalog.providers.items()
    }
    for provider in providers.values():
        provider.model_loading = (
            provider.type == "local" and provider.config.base_url == local_model_url != ""
        )
    return providers


def _with_local_url(config: ProviderConfig, url: str) -> ProviderConfig:
    if config.type != "local" or config.base_url or not url:
        return config
    return config.model_copy(update={"base_url": url})


def _build(name: str, config: ProviderConfig, timeouts: Timeouts, http: httpx.AsyncClient) -> ChatProvider:
    provider_class = find_provider(CHAT, config.type, ChatProvider)  # type: ignore[type-abstract]
    if provider_class is None:
        raise ProviderMisconfigured(f"providers.{name}.type: {provider_type_problem(config.type)}.")
    try:
        return provider_class(name, config, timeouts, http)
    except ValueError as error:
        raise ProviderMisconfigured(f"providers.{name}: {error}") from error
