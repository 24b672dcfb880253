"""Builds the embedding side of the configured providers; a module is imported only where it is needed."""

from __future__ import annotations

import httpx

from gateway.domain.config.catalog import Catalog, ProviderConfig
from gateway.providers.discovery import EMBEDDING, find_provider, has_module
from gateway.providers.embedding_base import EmbeddingProvider
from gateway.providers.registry import ProviderMisconfigured


def build_embedding_providers(catalog: Catalog, http: httpx.AsyncClient) -> dict[str, EmbeddingProvider]:
    """One object for each provider of a model with the capability `embeddings`; in mock mode the mock too."""
    used = {
        name
        for model in catalog.models.values()
        if "embeddings" in model.capabilities
        for name in model.providers
    }
    return {
        name: _build(name, config, catalog, http)
        for name, config in catalog.providers.items()
        if has_module(EMBEDDING, config.type)
        and (name in used or (catalog.mode == "mock" and config.type == "mock"))
    }


def _build(name: str, config: ProviderConfig, catalog: Catalog, http: httpx.AsyncClient) -> EmbeddingProvider:
    provider_class = find_provider(EMBEDDING, config.type, EmbeddingProvider)  # type: ignore[type-abstract]
    if provider_class is None:
        raise ProviderMisconfigured(f"providers.{name}.type: this type has no embedding provider.")
    try:
        return provider_class(name, config, catalog.timeouts_of(config), http)
    except ValueError as error:
        raise ProviderMisconfigured(f"providers.{name}: {error}") from error
