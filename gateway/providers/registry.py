"""The list of provider types, and the providers that a configuration makes of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TypeVar

import httpx

from gateway.domain.config.catalog import Catalog
from gateway.domain.config.provider_types import ProviderCapability, ProviderType, provider_type_problem
from gateway.domain.config.providers import ProviderConfig
from gateway.providers.base import ChatProvider, EmbeddingProvider, ImageProvider, Provider

# A new vendor is one folder and one line here; the folder's `PROVIDER_TYPE` says the rest. The modules with a
# vendor's clients are imported only if the configuration uses them.
VENDORS = (
    "anthropic",
    "comfyui",
    "gemini",
    "local",
    "mock",
    "ollama",
    "openai",
)
P = TypeVar("P", bound=Provider)


class ProviderMisconfigured(ValueError):
    """A configured provider cannot be built.

    The message says which one, why, and what to do.
    """


@dataclass(frozen=True, slots=True)
class Providers:
    """The providers of a configuration, by their configured names.

    `all` has one object per entry of `providers`, for health checks and circuit breakers: its chat provider
    if the vendor has a chat API.
    """

    all: Mapping[str, Provider]
    chat: Mapping[str, ChatProvider]
    images: Mapping[str, ImageProvider]
    embeddings: Mapping[str, EmbeddingProvider]

    async def aclose(self) -> None:
        """Close all providers."""
        for group in (self.chat, self.images, self.embeddings):
            for provider in group.values():
                await provider.aclose()


def load_provider_type(vendor: str) -> ProviderType:
    """Return the facts about a vendor, without importing its clients."""
    provider_type: ProviderType = import_module(f"gateway.providers.{vendor}").PROVIDER_TYPE
    return provider_type


PROVIDER_TYPES: dict[str, ProviderType] = {vendor: load_provider_type(vendor) for vendor in VENDORS}


def build_providers(
    catalog: Catalog, http: httpx.AsyncClient, local_model_url: str = "", *, config_folder: Path = Path()
) -> Providers:
    """Build all providers of a configuration.

    Image and embedding providers are built only if a model uses them; in mock mode the mock's always are.

    Args:
        http: the shared client; timeouts are set per request, and its proxies are the caller's decision.
        local_model_url: base URL (with `/v1`) of the embedded OpenAI-compatible server, "" if none runs.
        config_folder: the folder of the configuration, to which a relative `options.workflows` refers.

    Raises:
        ProviderMisconfigured: a type is unknown, or a provider's configuration is invalid.
    """
    configs = {
        name: _complete(config, local_model_url, config_folder) for name, config in catalog.providers.items()
    }
    chat = _build_all(catalog, http, configs, "chat", ChatProvider)  # type: ignore[type-abstract]
    images = _build_all(catalog, http, configs, "images", ImageProvider)  # type: ignore[type-abstract]
    embeddings = _build_all(catalog, http, configs, "embeddings", EmbeddingProvider)  # type: ignore[type-abstract]
    for provider in chat.values():
        provider.model_loading = (
            provider.type == "local" and provider.config.base_url == local_model_url != ""
        )
    primary = {name: chat.get(name) or images.get(name) or embeddings.get(name) for name in configs}
    return Providers(
        {name: provider for name, provider in primary.items() if provider is not None},
        chat,
        images,
        embeddings,
    )


def _complete(config: ProviderConfig, local_model_url: str, config_folder: Path) -> ProviderConfig:
    """Add what is known only at run time.

    This is the URL of the embedded server, and the folder of workflows.
    """
    if config.type == "local" and not config.base_url and local_model_url:
        return config.model_copy(update={"base_url": local_model_url})
    if config.type == "comfyui":
        folder = config_folder / str(config.options.get("workflows", "workflows"))
        return config.model_copy(update={"options": {**config.options, "workflows": str(folder)}})
    return config


def _build_all(
    catalog: Catalog,
    http: httpx.AsyncClient,
    configs: Mapping[str, ProviderConfig],
    capability: ProviderCapability,
    base: type[P],
) -> dict[str, P]:
    """Build the providers of one capability."""
    used = {
        name
        for model in catalog.models.values()
        if capability in model.capabilities
        for name in model.providers
    }
    built: dict[str, P] = {}
    for name, config in configs.items():
        provider_type = PROVIDER_TYPES.get(config.type)
        if provider_type is None:
            raise ProviderMisconfigured(
                f"providers.{name}.type: {provider_type_problem(config.type, PROVIDER_TYPES)}."
            )
        only_capability = provider_type.capabilities == {capability}
        in_mock_mode = catalog.mode == "mock" and config.type == "mock"
        if capability not in provider_type.capabilities:
            continue
        if capability == "chat" or only_capability or name in used or in_mock_mode:
            provider_class = _load_class(provider_type, capability, base)
            try:
                built[name] = provider_class(name, config, catalog.timeouts_of(config), http)
            except ValueError as error:
                raise ProviderMisconfigured(f"providers.{name}: {error}") from error
    return built


def _load_class(provider_type: ProviderType, capability: ProviderCapability, base: type[P]) -> type[P]:
    path = getattr(provider_type, capability)
    module, _, name = path.partition(":")
    provider_class = getattr(import_module(module), name)
    assert issubclass(provider_class, base)
    return provider_class  # type: ignore[no-any-return]
