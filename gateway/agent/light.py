"""The light model, for the gateway's own questions: whether it can be asked at all, and for this caller."""

from __future__ import annotations

from gateway.agent.context import AgentParts
from gateway.domain.catalog import AUTO, Catalog


def light_model(parts: AgentParts, allowed: frozenset[str] | None) -> str | None:
    """`routing.light` where a provider of it is configured and not failing; a mock has nothing to say.

    None also where the caller's key may not use it (`allowed`; None: all), for what a side call sends goes to
    a provider like any question.
    """
    name = parts.catalog.routing.light
    if name is None or not may_use(parts.catalog, allowed, name):
        return None
    asked = [upstream for upstream in parts.upstreams.of(name) if upstream.provider.type != "mock"]
    return name if any(upstream.breaker.closed for upstream in asked) else None


def may_use(catalog: Catalog, allowed: frozenset[str] | None, model: str) -> bool:
    """Whether a key with these names may have `model` asked: by name, by an alias, or as `auto` picks it."""
    if allowed is None or model in allowed or any(model in catalog.models_of(name) for name in allowed):
        return True
    return AUTO in allowed and model in (catalog.routing.light, catalog.routing.heavy)
