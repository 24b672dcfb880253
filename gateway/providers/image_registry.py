"""Builds the image side of the configured providers; a module is imported only where it is needed."""

from __future__ import annotations

from pathlib import Path

import httpx

from gateway.domain.config.catalog import Catalog, ProviderConfig
from gateway.providers.discovery import IMAGE, find_provider, has_module
from gateway.providers.image_base import ImageProvider
from gateway.providers.registry import ProviderMisconfigured


def build_image_providers(
    catalog: Catalog, http: httpx.AsyncClient, config_folder: Path
) -> dict[str, ImageProvider]:
    """One object for each provider of a model with the capability `images`; in mock mode the mock too.

    Args:
        beside: the folder of the configuration, from which a relative `options.workflows` is taken.
    """
    used = {
        name
        for model in catalog.models.values()
        if "images" in model.capabilities
        for name in model.providers
    }
    return {
        name: _build(name, _with_workflow_folder(config, config_folder), catalog, http)
        for name, config in catalog.providers.items()
        if has_module(IMAGE, config.type)
        and (name in used or (catalog.mode == "mock" and config.type == "mock"))
    }


def _with_workflow_folder(config: ProviderConfig, config_folder: Path) -> ProviderConfig:
    if config.type != "comfyui":
        return config
    folder = config_folder / str(config.options.get("workflows", "workflows"))
    return config.model_copy(update={"options": {**config.options, "workflows": str(folder)}})


def _build(name: str, config: ProviderConfig, catalog: Catalog, http: httpx.AsyncClient) -> ImageProvider:
    provider_class = find_provider(IMAGE, config.type, ImageProvider)  # type: ignore[type-abstract]
    if provider_class is None:
        raise ProviderMisconfigured(f"providers.{name}.type: this type has no image provider.")
    try:
        return provider_class(name, config, catalog.timeouts_of(config), http)
    except ValueError as error:
        raise ProviderMisconfigured(f"providers.{name}: {error}") from error
