"""Builds the embedding side of the configured providers; a module is imported only where it is needed."""

from __future__ import annotations

from importlib import import_module

import httpx

from gateway.domain.catalog import Catalog, ProviderConfig
from gateway.providers.embedding.base import EmbeddingProvider

# A new provider is one module and one line here: type -> module and class.
PROVIDERS: dict[str, tuple[str, str]] = {
    "openai": ("gateway.providers.embedding.openai", "OpenAIEmbeddings"),
    "ollama": ("gateway.providers.embedding.ollama", "OllamaEmbeddings"),
    "local": ("gateway.providers.embedding.local", "LocalEmbeddings"),
    "mock": ("gateway.providers.embedding.mock", "MockEmbeddings"),
}


def build_embedding_providers(catalog: Catalog, http: httpx.AsyncClient) -> dict[str, EmbeddingProvider]:
    """One object for each provider of a model with the capability `embeddings`; in mock mode the mock too."""
    wanted = {
        name
        for model in catalog.models.values()
        if "embeddings" in model.capabilities
        for name in model.providers
    }
    return {
        name: _build(name, config, catalog, http)
        for name, config in catalog.providers.items()
        if config.type in PROVIDERS and (name in wanted or (catalog.mode == "mock" and config.type == "mock"))
    }


def _build(name: str, config: ProviderConfig, catalog: Catalog, http: httpx.AsyncClient) -> EmbeddingProvider:
    module, attribute = PROVIDERS[config.type]
    factory: type[EmbeddingProvider] = getattr(import_module(module), attribute)
    return factory(name, config, catalog.timeouts, http)
