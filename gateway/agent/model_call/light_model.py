"""Availability of the light model for auxiliary calls of a turn."""

from __future__ import annotations

from gateway.agent.context import AgentResources
from gateway.domain.config.catalog import AUTO, Catalog


def light_model(resources: AgentResources, allowed_models: frozenset[str] | None) -> str | None:
    """`routing.light` if one of its providers is configured and healthy, else None.

    None also if the API key may not use it, because an auxiliary call sends the question to a provider like
    any other call. The mock is not asked.

    Args:
        allowed_models: names that the key may use; None: all.
    """
    name = resources.catalog.routing.light
    if name is None or not key_allows_model(resources.catalog, allowed_models, name):
        return None
    real_upstreams = [
        upstream for upstream in resources.upstreams.for_model(name) if upstream.provider.type != "mock"
    ]
    return name if any(upstream.breaker.closed for upstream in real_upstreams) else None


def key_allows_model(catalog: Catalog, allowed_models: frozenset[str] | None, model: str) -> bool:
    """Whether a key with these names may call `model`: by name, alias or `auto`."""
    if (
        allowed_models is None
        or model in allowed_models
        or any(model in catalog.models_of(name) for name in allowed_models)
    ):
        return True
    return AUTO in allowed_models and model in (catalog.routing.light, catalog.routing.heavy)
