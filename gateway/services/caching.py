"""The graph behind the response caches: a turn is answered by what was kept, by another's call, or run."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial
from time import perf_counter
from typing import Any, Protocol
from uuid import UUID

from gateway.agent.remembering.memory import Memory
from gateway.agent.runner import AgentRunner
from gateway.agent.turn_budget import TurnBudget
from gateway.core import metrics
from gateway.domain.cache_key import answer_key, fingerprint, may_repeat
from gateway.domain.cached_answer import CachedAnswer
from gateway.domain.chat import Turn
from gateway.domain.config.guardrails import GuardSet
from gateway.domain.events import Attempt, ChatEvent, TurnCompleted, TurnFailed
from gateway.domain.messages import Message
from gateway.services.flights import Flights, Landed, Outcome, Shared
from gateway.services.semantic import Question, SemanticAnswers
from gateway.tools.base import TurnServices

_NOBODYS = TurnServices()
_BYPASSED = metrics.cache.labels("bypass")


class Run(Protocol):
    """A turn that has all but its listener."""

    def __call__(self, *, emit: Callable[[ChatEvent], None]) -> Awaitable[None]:
        """Run it to its end."""


class CachedRunner:
    """Has the runner's one method; turns that do not ask the caches pass through untouched."""

    def __init__(
        self, runner: AgentRunner, flights: Flights, semantic: SemanticAnswers | None = None
    ) -> None:
        self.parts = runner.parts
        self._runner = runner
        self._flights = flights
        self._semantic = semantic
        self._on = runner.parts.catalog.cache.exact.ttl_seconds > 0
        self._configuration = fingerprint(runner.parts.catalog)

    def wanted(self, task: asyncio.Task[Any] | None) -> bool:
        """Whether others wait for the call that the turn of this task makes."""
        return self._flights.awaited(task)

    async def run(
        self,
        turn: Turn,
        messages: tuple[Message, ...],
        *,
        account: UUID,
        guard: GuardSet,
        allowed_models: frozenset[str] | None,
        attempts: list[Attempt],
        emit: Callable[[ChatEvent], None],
        memory: Memory | None = None,
        services: TurnServices = _NOBODYS,
        budget: TurnBudget | None = None,
    ) -> None:
        """As `AgentRunner.run`; `account` is whose answers may be told again."""
        run = partial(
            self._runner.run,
            turn,
            messages,
            guard=guard,
            allowed_models=allowed_models,
            attempts=attempts,
            memory=memory,
            services=services,
            budget=budget,
        )
        if not self._on or not may_repeat(turn):
            _BYPASSED.inc()
            await run(emit=emit)
            return
        key_of = partial(
            answer_key,
            account=account,
            guard=guard,
            allowed_models=allowed_models,
            configuration=self._configuration,
        )
        tell = partial(_tell, turn.request_id, attempts=attempts, emit=emit)
        ask = partial(self._ask, run, emit, budget)
        if self._semantic is not None and (question := Question.of(turn, messages, account, key_of)):
            ask = partial(self._ask_similar, self._semantic, question, ask, tell)
        started = perf_counter()
        shared = await self._flights.fly(account, key_of(turn, messages), ask, patience=self._patience(turn))
        if shared is not None:
            tell(shared, (perf_counter() - started) * 1000)

    async def _ask(self, run: Run, emit: Callable[[ChatEvent], None], budget: TurnBudget | None) -> Landed:
        """Run the turn, and see what others may have of its answer."""
        ending: TurnCompleted | TurnFailed | None = None

        def relay(event: ChatEvent) -> None:
            nonlocal ending
            if isinstance(event, (TurnCompleted, TurnFailed)):
                event = ending = _as_miss(event)
            emit(event)

        metrics.cache.labels("miss").inc()
        await run(emit=relay)
        if not isinstance(ending, TurnCompleted):
            return Outcome.FAILED
        if budget is not None and budget.cut and ending.answer.finish_reason == "length":
            return Outcome.UNSHARED  # with more left, its caller would have had all of it
        made = CachedAnswer.of(ending.answer)
        return Shared(made) if made is not None else Outcome.UNSHARED

    async def _ask_similar(
        self,
        semantic: SemanticAnswers,
        question: Question,
        ask: Callable[[], Awaitable[Landed]],
        tell: Callable[[Shared, float], None],
    ) -> Landed:
        """The answer to the same question in other words, where there is one; else run the turn."""
        started = perf_counter()
        found = await semantic.find(question)
        if found is not None:
            tell(found, (perf_counter() - started) * 1000)
            return found
        landed = await ask()
        if isinstance(landed, Shared):
            semantic.keep(question, landed.answer)
        return landed

    def _patience(self, turn: Turn) -> float:
        """Seconds that a caller waits for another's call: as long as for a word of its own."""
        catalog = self.parts.catalog
        if catalog.mode == "mock":
            return catalog.timeouts.mock
        timeouts = [provider.timeouts for provider in self.parts.providers.values()]
        return max(limits.first_token if turn.incremental else limits.live for limits in timeouts)


def _as_miss(event: TurnCompleted | TurnFailed) -> TurnCompleted | TurnFailed:
    if event.answer is None:
        return event
    answer = replace(
        event.answer, cache="miss", receipt=replace(event.answer.receipt, cache={"result": "miss"})
    )
    return replace(event, answer=answer)


def _tell(
    request_id: str, shared: Shared, ms: float, *, attempts: list[Attempt], emit: Callable[[ChatEvent], None]
) -> None:
    """Show a kept answer as a model's would be shown."""
    metrics.cache.labels(shared.result).inc()
    attempts.append(shared.answer.attempt(ms))
    for event in shared.answer.events():
        emit(event)
    details = {"ms": round(ms, 3), **shared.details}
    emit(TurnCompleted(shared.answer.answer(request_id, tuple(attempts), shared.result, details)))
