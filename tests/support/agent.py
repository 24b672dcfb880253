"""An agent over upstream servers on loopback."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx

from gateway.agent.context import AgentResources
from gateway.agent.intent.classifier import IntentClassifier
from gateway.agent.routing.upstream_pool import UpstreamPool
from gateway.agent.runner import AgentRunner
from gateway.agent.turn_run import TurnRun
from gateway.cache.circuit_breakers import CircuitBreakerStore
from gateway.cache.client import ValkeyClient
from gateway.cache.pubsub import PubSub
from gateway.domain.config.catalog import Catalog
from gateway.domain.config.guardrails import GuardModes
from gateway.domain.events import ChatEvent, ModelCall
from gateway.domain.messages import Message
from gateway.domain.requests import Turn
from gateway.guardrails.base import Guardrail, Verdict
from gateway.guardrails.pipeline import GuardrailPipeline
from gateway.providers.registry import build_providers
from gateway.tools.registry import ToolRegistry

GUARDS_OFF = GuardModes()
BLOCK_INJECTION = GuardModes(injection="block")


class ScriptedGuard(Guardrail):
    """A guard whose verdict the test gives."""

    name = "injection"
    checks_tool_results = True

    def __init__(self, *, flagged: bool) -> None:
        self._flagged = flagged

    async def check(self, text: str) -> Verdict:
        return Verdict("injection", self._flagged, 0.9, "it tries to change the instructions.", 0.1)


def make_catalog(urls: dict[str, str], **sections: Any) -> Catalog:
    """A catalogue with one `openai` provider and one model per entry, named alike, all able."""
    models: dict[str, Any] = {
        name: {
            "provider": name,
            "model": f"vendor-{name}",
            "context_window": 4096,
            "capabilities": ["tools", "json", "logprobs"],
            "price": {"input": "1", "output": "2"},
        }
        for name in urls
    }
    models.update(sections.pop("models", {}))
    # A failure is met by the next model: retries are for the tests of retries.
    sections.setdefault("retry", {"attempts": 1})
    return Catalog.model_validate(
        {
            "providers": {name: {"type": "openai", "base_url": url} for name, url in urls.items()},
            "models": models,
            **sections,
        }
    )


@asynccontextmanager
async def running_agent(
    config: Catalog, *, guard: Guardrail | None = None, clock: Callable[[], float] = time.monotonic
) -> AsyncIterator[AgentRunner]:
    """`clock` is the one that breakers go by."""
    async with httpx.AsyncClient() as http:
        providers = build_providers(config, http, "")
        tools = ToolRegistry(config.tools)
        tools.open()
        valkey = ValkeyClient("")
        yield AgentRunner(
            AgentResources(
                catalog=config,
                providers=providers.all,
                classifier=IntentClassifier.load(config=config.intent),
                guardrails=GuardrailPipeline([guard] if guard else []),
                tools=tools,
                upstreams=UpstreamPool(
                    config,
                    providers.all,
                    CircuitBreakerStore(valkey, PubSub(valkey), config.circuit_breaker),
                    clock=clock,
                ),
            )
        )
        await tools.aclose()
        await providers.aclose()


def make_turn(text: str = "Hello", **fields: Any) -> Turn:
    fields.setdefault("messages", (Message("user", text),))
    return Turn(request_id="req_test", **fields)


async def run_turn(
    agent: AgentRunner,
    turn: Turn,
    *,
    guard: GuardModes = GUARDS_OFF,
    allowed: frozenset[str] | None = None,
    attempts: list[ModelCall] | None = None,
) -> list[ChatEvent]:
    """All events of a turn."""
    recorded = attempts if attempts is not None else []
    events: list[ChatEvent] = []
    await agent.run(
        TurnRun(
            turn,
            turn.messages,
            guards=guard,
            allowed_models=allowed,
            model_calls=recorded,
            emit=events.append,
        )
    )
    return events
