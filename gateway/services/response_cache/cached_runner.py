"""Answers a turn from the response caches, or runs it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial
from time import perf_counter
from typing import Any
from uuid import UUID

from gateway.agent.runner import AgentRunner
from gateway.agent.turn_run import TurnRun
from gateway.core.metrics import registry as metrics
from gateway.domain.caching.answer import CachedAnswer
from gateway.domain.caching.key import answer_key, catalog_fingerprint, is_cacheable
from gateway.domain.events import ChatEvent, ModelCall, TurnCompleted, TurnFailed
from gateway.domain.requests import Turn
from gateway.services.response_cache.semantic import CacheQuestion, SemanticCache
from gateway.services.response_cache.single_flight import FlightResult, NotShared, SharedAnswer, SingleFlight

_BYPASSED = metrics.cache_results.labels("bypass")


class CachingRunner:
    """Wraps the runner; turns that are not cacheable are passed through unchanged."""

    def __init__(
        self, runner: AgentRunner, single_flight: SingleFlight, semantic: SemanticCache | None = None
    ) -> None:
        self.resources = runner.resources
        self._runner = runner
        self.single_flight = single_flight
        self._semantic = semantic
        self._enabled = runner.resources.catalog.cache.exact.ttl_seconds > 0
        self._config_fingerprint = catalog_fingerprint(runner.resources.catalog)

    def has_waiters(self, task: asyncio.Task[Any] | None) -> bool:
        """Return whether other requests wait for the call of this task's turn."""
        return self.single_flight.has_waiters(task)

    async def run(self, run: TurnRun, account_id: UUID) -> None:
        """Run as `AgentRunner.run`; reuse only answers of the account `account_id`."""
        turn, messages = run.turn, run.messages
        if not self._enabled or not is_cacheable(turn):
            _BYPASSED.inc()
            await self._runner.run(run)
            return
        key_of = partial(
            answer_key,
            account_id=account_id,
            guards=run.guards,
            allowed_models=run.allowed_models,
            config=self._config_fingerprint,
        )
        replay = partial(_replay, turn.request_id, calls=run.model_calls, emit=run.emit)
        call = partial(self._run_miss, run)
        if self._semantic is not None and (
            question := CacheQuestion.from_turn(turn, messages, account_id, key_of)
        ):
            call = partial(self._run_similar, self._semantic, question, call, replay)
        started = perf_counter()
        shared = await self.single_flight.run(
            account_id, key_of(turn, messages), call, max_wait_seconds=self._wait_limit(turn)
        )
        if shared is not None:
            replay(shared, (perf_counter() - started) * 1000)

    async def _run_miss(self, run: TurnRun) -> FlightResult:
        """Run the turn, and return the part of its answer that may be shared."""
        ending: TurnCompleted | TurnFailed | None = None

        def relay(event: ChatEvent) -> None:
            nonlocal ending
            if isinstance(event, (TurnCompleted, TurnFailed)):
                event = ending = _as_miss(event)
            run.emit(event)

        metrics.cache_results.labels("miss").inc()
        await self._runner.run(replace(run, emit=relay))
        if not isinstance(ending, TurnCompleted):
            return NotShared.FAILED
        if run.budget is not None and run.budget.truncated and ending.answer.finish_reason == "length":
            return NotShared.NOT_SHAREABLE  # it was cut by its own caller's budget
        cached = CachedAnswer.from_answer(ending.answer)
        return SharedAnswer(cached) if cached is not None else NotShared.NOT_SHAREABLE

    async def _run_similar(
        self,
        semantic: SemanticCache,
        question: CacheQuestion,
        call: Callable[[], Awaitable[FlightResult]],
        replay: Callable[[SharedAnswer, float], None],
    ) -> FlightResult:
        """Return the cached answer to a question with the same meaning, or run the turn."""
        started = perf_counter()
        found = await semantic.find(question)
        if found is not None:
            replay(found, (perf_counter() - started) * 1000)
            return found
        result = await call()
        if isinstance(result, SharedAnswer):
            semantic.store(question, result.answer)
        return result

    def _wait_limit(self, turn: Turn) -> float:
        """Return the seconds to wait for another call: the timeout of an own call."""
        catalog = self.resources.catalog
        if catalog.mode == "mock":
            return catalog.timeouts.mock
        timeouts = [provider.timeouts for provider in self.resources.providers.values()]
        return max(limits.first_token if turn.stream else limits.live for limits in timeouts)


def _as_miss(event: TurnCompleted | TurnFailed) -> TurnCompleted | TurnFailed:
    if event.answer is None:
        return event
    answer = replace(
        event.answer, cache="miss", receipt=replace(event.answer.receipt, cache={"result": "miss"})
    )
    return replace(event, answer=answer)


def _replay(
    request_id: str,
    shared: SharedAnswer,
    ms: float,
    *,
    calls: list[ModelCall],
    emit: Callable[[ChatEvent], None],
) -> None:
    """Emit a cached answer as if a model had generated it."""
    metrics.cache_results.labels(shared.result).inc()
    calls.append(shared.answer.model_call(ms))
    for event in shared.answer.events():
        emit(event)
    details = {"ms": round(ms, 3), **shared.details}
    emit(TurnCompleted(shared.answer.to_answer(request_id, tuple(calls), shared.result, details)))
