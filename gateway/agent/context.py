"""Everything live that the nodes use; it reaches them as LangGraph's context, never through the state."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from gateway.agent.budget.turn_budget import TurnBudget
from gateway.agent.context_window.memory import Memory
from gateway.agent.intent.classifier import IntentClassifier
from gateway.agent.routing.breakers import Upstream
from gateway.agent.routing.upstream_pool import TrackedCall, UpstreamPool
from gateway.agent.state import Route
from gateway.domain.config.catalog import Catalog
from gateway.domain.config.guardrails import GuardModes
from gateway.domain.events import ChatEvent, ModelCall
from gateway.guardrails.base import Verdict
from gateway.guardrails.pipeline import GuardrailPipeline
from gateway.providers.base import Provider
from gateway.tools.base import TurnServices
from gateway.tools.registry import ToolRegistry


@dataclass(frozen=True, slots=True)
class AgentResources:
    """What all turns share."""

    catalog: Catalog
    providers: Mapping[str, Provider]
    classifier: IntentClassifier
    guardrails: GuardrailPipeline
    tools: ToolRegistry
    upstreams: UpstreamPool


@dataclass(slots=True)
class AgentContext:
    """One turn's live things.

    `attempts` is the caller's: each model call is noted there as it ends, also one that is cancelled, so
    that the ledger misses none. `emit` hands an event to whoever listens, and never waits: LangGraph's own
    stream writer would take each one through a queue and a task that waits on it, at 0.1 ms a step.
    `input_check` runs beside the model call and is awaited before its first word is shown. `verdicts` are
    the guards', as the receipt shows them. `probe` was granted by a breaker and is not begun yet.
    `memory` is of a kept conversation: what it can show of it, and the notes it made on the rest.
    `sent` tells whether the present model call has been begun at its provider, which may charge for it.
    `budget` is what the turn may spend, None where nothing limits it.
    `services` is what tools may have done on the turn's account. `allowed_models` is what the caller's key
    may use (None: all), which holds for side calls too.
    """

    resources: AgentResources
    guards: GuardModes
    model_calls: list[ModelCall]
    emit: Callable[[ChatEvent], None]
    input_check: asyncio.Task[tuple[Verdict, ...]] | None = None
    verdicts: list[dict[str, Any]] = field(default_factory=list)
    probe: tuple[Upstream, str] | None = None
    memory: Memory | None = None
    request_sent: bool = False
    budget: TurnBudget | None = None
    services: TurnServices = field(default_factory=TurnServices)
    allowed_models: frozenset[str] | None = None

    def track_call(self, route: Route) -> TrackedCall:
        """To be entered around the call that `route` chose; takes the probe that it was given for that."""
        probe, self.probe = self.probe, None
        upstream = self.resources.upstreams.get(route.model, route.provider)
        return self.resources.upstreams.track(upstream, probe[1] if probe is not None else None)

    async def aclose(self) -> None:
        """End what the turn left running; a moderation that it waits for is on the ledger then."""
        if self.probe is not None:
            self.resources.upstreams.release_probe(*self.probe)
        if self.input_check is not None and not self.input_check.done():
            self.input_check.cancel()
            await asyncio.wait({self.input_check})
