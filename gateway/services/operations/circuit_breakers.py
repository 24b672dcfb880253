"""Which upstreams are left alone at the moment, for those who may ask for their models."""

from __future__ import annotations

from gateway.agent.context import AgentResources
from gateway.cache.client import ValkeyUnavailable
from gateway.domain.accounts.principal import Principal
from gateway.domain.circuit_breaker import BreakerChange, BreakerView
from gateway.domain.config.catalog import AUTO


class CircuitBreakerService:
    """Reads this worker's memory, which follows what all workers know."""

    def __init__(self, parts: AgentResources) -> None:
        self._parts = parts

    def list_all(self) -> list[BreakerView]:
        """One for each provider of each model that is configured, in the order of the catalogue."""
        return self._parts.upstreams.breaker_views()

    async def history(self, limit: int) -> list[BreakerChange] | None:
        """What breakers have done, the newest first; None while Valkey, which keeps it, is away."""
        try:
            return await self._parts.upstreams.breaker_history(limit)
        except ValkeyUnavailable:
            return None

    def visible_to(self, principal: Principal) -> list[BreakerView]:
        """Those of the models that the caller may ask for, by whatever name."""
        if principal.models is None:
            return self.list_all()
        catalog = self._parts.catalog
        names = set(principal.models).union(*map(catalog.models_of, principal.models))
        if AUTO in names:
            routing = catalog.routing
            routed = (routing.light, routing.heavy, *(rule.model for rule in routing.rules))
            names.update(name for name in routed if name is not None)
        return [view for view in self.list_all() if view.model in names]
