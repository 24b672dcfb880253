"""Limits context windows to what Ollama is configured to allocate."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gateway.domain.config.models import ModelConfig
    from gateway.domain.config.providers import ProviderConfig


def limit_context_windows(
    models: Mapping[str, ModelConfig], providers: Mapping[str, ProviderConfig]
) -> dict[str, ModelConfig]:
    """Reduce the models' `context_window` to their provider's `options.num_ctx`.

    Ollama allocates the window when it loads a model, so the largest possible window is seldom the right one.
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
