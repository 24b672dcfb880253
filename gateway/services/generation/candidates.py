"""Selects the models that may serve a request for embeddings or images."""

from __future__ import annotations

from collections.abc import Callable

from gateway.core.exceptions import (
    ModelNotAllowed,
    ModelNotFound,
    UnsupportedParameter,
    UpstreamUnavailable,
)
from gateway.domain.accounts.principal import Principal
from gateway.domain.config.catalog import Catalog
from gateway.domain.config.models import Capability


def candidate_models(
    catalog: Catalog,
    name: str,
    principal: Principal,
    capability: Capability,
    is_usable: Callable[[str], bool],
) -> tuple[str, ...]:
    """Return the models behind `name`, and fallbacks, with the capability, best first.

    Args:
        is_usable: whether a model's provider is configured and supports the capability.

    Raises:
        ModelNotFound: no model or alias has this name.
        ModelNotAllowed: the API key may not use it.
        UnsupportedParameter: no model behind the name has the capability.
        UpstreamUnavailable: no provider with the capability is configured.
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
        raise UnsupportedParameter(f"This model does not support {capability}.", param="model")
    capable = [model for model in chain if capability in catalog.models[model].capabilities]
    if not capable:
        raise ModelNotAllowed(param="model")
    configured = tuple(model for model in capable if is_usable(model))
    if not configured:
        raise UpstreamUnavailable("No configured provider can serve this request.")
    return configured
