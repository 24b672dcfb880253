"""The context windows of Ollama's models: what the gateway counts with is what Ollama is asked for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gateway.domain.config.catalog import ModelConfig, ProviderConfig


def limit_context_windows(
    models: Mapping[str, ModelConfig], providers: Mapping[str, ProviderConfig]
) -> dict[str, ModelConfig]:
    """The models whose `context_window` is larger than `options.num_ctx` of their provider, with that window.

    A window costs memory: Ollama reserves it when it loads a model, so the largest that a model could have is
    seldom the one to ask for.
    """
    limited: dict[str, ModelConfig] = {}
    for name, model in models.items():
        limits = [
            limit
            for provider in map(providers.get, model.providers)
            if provider is not None and provider.type == "ollama"
            if isinstance(limit := provider.options.get("num_ctx"), int)
        ]
        if limits and min(limits) < model.context_window:
            limited[name] = model.model_copy(update={"context_window": min(limits)})
    return limited
