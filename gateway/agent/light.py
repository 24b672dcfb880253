"""The light model, for the gateway's own questions: whether it can be asked at all."""

from __future__ import annotations

from gateway.agent.context import AgentParts


def light_model(parts: AgentParts) -> str | None:
    """`routing.light` where a provider of it is configured and not failing; a mock has nothing to say."""
    name = parts.catalog.routing.light
    if name is None:
        return None
    asked = [upstream for upstream in parts.upstreams.of(name) if upstream.provider.type != "mock"]
    return name if any(upstream.breaker.closed for upstream in asked) else None
