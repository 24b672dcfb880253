"""Which models may answer a request that is no chat: those behind a name with the capability it takes."""

from __future__ import annotations

from collections.abc import Callable

from gateway.core.exceptions import (
    ModelNotAllowed,
    ModelNotFound,
    UnsupportedParameter,
    UpstreamUnavailable,
)
from gateway.domain.accounts.principal import Principal
from gateway.domain.config.catalog import Capability, Catalog


def candidate_models(
    catalog: Catalog,
    name: str,
    principal: Principal,
    capability: Capability,
    is_usable: Callable[[str], bool],
) -> tuple[str, ...]:
    """The models behind `name`, then their fallbacks, that can and may; best first.

    Args:
        usable: whether a model's provider is configured and can do this.

    Raises:
        ModelNotFound, ModelNotAllowed, UnsupportedParameter (`model`): nobody behind the name can.
        UpstreamUnavailable: who can is not configured.
    """
    named_models = catalog.models_of(name)
    if not named_models:
        raise ModelNotFound(param="model")
    allowed = principal.models
    if allowed is not None and name not in allowed:
        raise ModelNotAllowed(param="model")
    chain = dict.fromkeys(
        (*named_models, *(fallback for model in named_models for fallback in catalog.fallbacks_of(model)))
    )
    if allowed is not None:
        permitted = allowed.union(*map(catalog.models_of, allowed))
        chain = dict.fromkeys(model for model in chain if model in permitted)
    if not any(capability in catalog.models[model].capabilities for model in named_models):
        raise UnsupportedParameter(f"This model has no {capability}.", param="model")
    capable = [model for model in chain if capability in catalog.models[model].capabilities]
    if not capable:
        raise ModelNotAllowed(param="model")
    configured = tuple(model for model in capable if is_usable(model))
    if not configured:
        raise UpstreamUnavailable("No provider that could answer this is configured.")
    return configured
