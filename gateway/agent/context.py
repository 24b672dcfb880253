"""Everything live that the nodes use; it reaches them as LangGraph's context, never through the state."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from gateway.agent.intent.classifier import IntentClassifier
from gateway.agent.recovery.breakers import Upstream
from gateway.agent.recovery.upstreams import Call, Upstreams
from gateway.agent.remembering.memory import Memory
from gateway.agent.state import Route
from gateway.agent.turn_budget import TurnBudget
from gateway.domain.catalog import Catalog, ModelConfig
from gateway.domain.config.guardrails import GuardSet
from gateway.domain.events import Attempt, ChatEvent
from gateway.guardrails.base import Verdict
from gateway.guardrails.pipeline import GuardrailPipeline
from gateway.providers.chat.base import ChatProvider
from gateway.tools.base import TurnServices
from gateway.tools.registry import ToolRegistry


@dataclass(frozen=True, slots=True)
class AgentParts:
    """What all turns share."""

    catalog: Catalog
    providers: Mapping[str, ChatProvider]
    classifier: IntentClassifier
    guards: GuardrailPipeline
    tools: ToolRegistry
    upstreams: Upstreams

    def provider_of(self, model: ModelConfig) -> ChatProvider:
        """The first provider that can answer for `model`; in mock mode the mock answers for all."""
        if self.catalog.mode == "mock":
            return next(p for p in self.providers.values() if p.type == "mock")
        able = (self.providers[name] for name in model.providers if self.providers[name].configured)
        return next(able, self.providers[model.provider])


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

    parts: AgentParts
    guard: GuardSet
    attempts: list[Attempt]
    emit: Callable[[ChatEvent], None]
    input_check: asyncio.Task[tuple[Verdict, ...]] | None = None
    verdicts: list[dict[str, Any]] = field(default_factory=list)
    probe: tuple[Upstream, str] | None = None
    memory: Memory | None = None
    sent: bool = False
    budget: TurnBudget | None = None
    services: TurnServices = field(default_factory=TurnServices)
    allowed_models: frozenset[str] | None = None

    def calling(self, route: Route) -> Call:
        """To be entered around the call that `route` chose; takes the probe that it was given for that."""
        probe, self.probe = self.probe, None
        upstream = self.parts.upstreams.at(route.model, route.provider)
        return self.parts.upstreams.calling(upstream, probe[1] if probe is not None else None)

    async def aclose(self) -> None:
        """End what the turn left running; a moderation that it waits for is on the ledger then."""
        if self.probe is not None:
            self.parts.upstreams.give_back(*self.probe)
        if self.input_check is not None and not self.input_check.done():
            self.input_check.cancel()
            await asyncio.wait({self.input_check})
