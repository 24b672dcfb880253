"""The state of the circuit breakers, for administrators and for callers."""

from __future__ import annotations

from gateway.agent.context import AgentResources
from gateway.cache.client import ValkeyUnavailable
from gateway.domain.accounts.principal import Principal
from gateway.domain.circuit_breaker import BreakerChange, BreakerView
from gateway.domain.config.catalog import AUTO


class CircuitBreakerService:
    """Reads circuit breaker state from memory, which workers synchronize."""

    def __init__(self, parts: AgentResources) -> None:
        self._parts = parts

    def list_all(self) -> list[BreakerView]:
        """List one breaker per configured model and provider, in catalog order."""
        return self._parts.upstreams.breaker_views()

    async def history(self, limit: int) -> list[BreakerChange] | None:
        """List state changes, newest first.

        None while Valkey, which stores them, is unreachable.
        """
        try:
            return await self._parts.upstreams.breaker_history(limit)
        except ValkeyUnavailable:
            return None

    def visible_to(self, principal: Principal) -> list[BreakerView]:
        """List the breakers of the models that the caller may use under any name."""
        if principal.models is None:
            return self.list_all()
        catalog = self._parts.catalog
        names = set(principal.models).union(*map(catalog.models_of, principal.models))
        if AUTO in names:
            routing = catalog.routing
            routed = (routing.light, routing.heavy, *(rule.model for rule in routing.rules))
            names.update(name for name in routed if name is not None)
        return [view for view in self.list_all() if view.model in names]
