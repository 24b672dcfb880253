"""Builds the configured chat providers; a module is imported only when the configuration names its type."""

from __future__ import annotations

from importlib import import_module

import httpx

from gateway.domain.catalog import Catalog, ProviderConfig, Timeouts
from gateway.providers.chat.base import ChatProvider

# A new provider is one module and one line here: type -> module and class.
PROVIDERS: dict[str, tuple[str, str]] = {
    "openai": ("gateway.providers.chat.openai", "OpenAIProvider"),
    "local": ("gateway.providers.chat.local", "LocalProvider"),
    "ollama": ("gateway.providers.chat.ollama", "OllamaProvider"),
    "anthropic": ("gateway.providers.chat.anthropic", "AnthropicProvider"),
    "gemini": ("gateway.providers.chat.gemini", "GeminiProvider"),
    "mock": ("gateway.providers.chat.mock", "MockProvider"),
    "comfyui": ("gateway.providers.chat.comfyui", "ComfyUIPresence"),
}

LITELLM_HINT = (
    "The provider type `litellm` is not part of this installation. Run a LiteLLM proxy of your own and "
    "name it as `type: openai` with `base_url: http://…/v1`."
)


class ProviderMisconfigured(ValueError):
    """A provider of the configuration cannot be built; the message says which, why and what to do."""


def build_providers(
    catalog: Catalog, http: httpx.AsyncClient, local_model_url: str
) -> dict[str, ChatProvider]:
    """One provider object per entry of `providers`, by its name in the configuration.

    Args:
        http: the shared client; timeouts are set per request, its proxies are the caller's decision.
        local_model_url: address of the embedded OpenAI-compatible server with its `/v1`; "" if none runs.

    Raises:
        ProviderMisconfigured: an unknown type, or a base URL that is none.
    """
    return {
        name: _build(name, _with_local_url(config, local_model_url), catalog.timeouts, http)
        for name, config in catalog.providers.items()
    }


def _with_local_url(config: ProviderConfig, url: str) -> ProviderConfig:
    if config.type != "local" or config.base_url or not url:
        return config
    return config.model_copy(update={"base_url": url})


def _build(name: str, config: ProviderConfig, timeouts: Timeouts, http: httpx.AsyncClient) -> ChatProvider:
    entry = PROVIDERS.get(config.type)
    if entry is None:
        hint = LITELLM_HINT if config.type == "litellm" else f"There is no provider type `{config.type}`."
        raise ProviderMisconfigured(f"providers.{name}: {hint}")
    module, attribute = entry
    factory: type[ChatProvider] = getattr(import_module(module), attribute)
    try:
        return factory(name, config, timeouts, http)
    except ValueError as error:
        raise ProviderMisconfigured(f"providers.{name}: {error}") from error
