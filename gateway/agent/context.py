"""Live objects that the nodes use, passed as LangGraph's context and never in the state."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from gateway.agent.intent.classifier import IntentClassifier
from gateway.agent.routing.upstream import Upstream
from gateway.agent.routing.upstream_pool import TrackedCall, UpstreamPool
from gateway.agent.state import Route
from gateway.agent.turn_run import TurnRun
from gateway.domain.config.catalog import Catalog
from gateway.guardrails.base import Verdict
from gateway.guardrails.pipeline import GuardrailPipeline
from gateway.providers.base import Provider
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
    """Live objects of one turn.

    input_check: runs beside the model call and is awaited before the first output is sent.
    verdicts: guardrail verdicts, as the receipt shows them.
    probe: granted by a circuit breaker for a call that has not started yet.
    request_sent: whether the current model call was sent to its provider, which may charge for it.
    """

    resources: AgentResources
    run: TurnRun
    input_check: asyncio.Task[tuple[Verdict, ...]] | None = None
    verdicts: list[dict[str, Any]] = field(default_factory=list)
    probe: tuple[Upstream, str] | None = None
    request_sent: bool = False

    def track_call(self, route: Route) -> TrackedCall:
        """Context manager around the call of `route`; uses the probe that was granted for it."""
        probe, self.probe = self.probe, None
        upstream = self.resources.upstreams.get(route.model, route.provider)
        return self.resources.upstreams.track(upstream, probe[1] if probe is not None else None)

    async def aclose(self) -> None:
        """Release an unused probe and cancel the input check, after which its calls are recorded."""
        if self.probe is not None:
            self.resources.upstreams.release_probe(*self.probe)
        if self.input_check is not None and not self.input_check.done():
            self.input_check.cancel()
            await asyncio.wait({self.input_check})
