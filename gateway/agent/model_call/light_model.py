"""The light model, for the gateway's own questions: whether it can be asked at all, and for this caller."""

from __future__ import annotations

from gateway.agent.context import AgentResources
from gateway.domain.config.catalog import AUTO, Catalog


def light_model(resources: AgentResources, allowed_models: frozenset[str] | None) -> str | None:
    """`routing.light` where a provider of it is configured and not failing; a mock has nothing to say.

    None also where the caller's key may not use it (`allowed`; None: all), for what a side call sends goes to
    a provider like any question.
    """
    name = resources.catalog.routing.light
    if name is None or not key_allows_model(resources.catalog, allowed_models, name):
        return None
    real_upstreams = [
        upstream for upstream in resources.upstreams.for_model(name) if upstream.provider.type != "mock"
    ]
    return name if any(upstream.breaker.closed for upstream in real_upstreams) else None


def key_allows_model(catalog: Catalog, allowed_models: frozenset[str] | None, model: str) -> bool:
    """Whether a key with these names may have `model` asked: by name, by an alias, or as `auto` picks it."""
    if (
        allowed_models is None
        or model in allowed_models
        or any(model in catalog.models_of(name) for name in allowed_models)
    ):
        return True
    return AUTO in allowed_models and model in (catalog.routing.light, catalog.routing.heavy)
