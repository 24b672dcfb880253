"""The one chat use case behind every door: open the turn, run the graph, write down what came of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import replace
from functools import partial
from time import perf_counter
from uuid import UUID

import structlog

from gateway.core.exceptions import GatewayError, Unavailable
from gateway.core.ids import new_id
from gateway.domain.chat import Turn
from gateway.domain.config.guardrails import GuardSet
from gateway.domain.events import (
    Answer,
    Attempt,
    ChatEvent,
    MessageStatus,
    TurnCompleted,
    TurnFailed,
    TurnStarted,
)
from gateway.domain.principal import Principal
from gateway.services.artist import Artist
from gateway.services.caching import CachedRunner
from gateway.services.channel import EventChannel
from gateway.services.departure import Departure
from gateway.services.failures import log_failure
from gateway.services.ledger import Ledger
from gateway.services.opening import Job, Opening
from gateway.services.progress import Progress
from gateway.services.queueing import Waiting
from gateway.services.receipts import count, finished_turn
from gateway.services.said import log_what_was_said
from gateway.services.spans import end_turn_span, turn_span
from gateway.services.titles import Titles
from gateway.services.turns import INTERRUPTED, RunningTurn, TurnTasks

log = structlog.get_logger(__name__)

_RETRY_SECONDS = 5.0
_TAKEN_OVER = "This worker was out of reach for too long, and the turn was ended without it. Ask again."


class ChatService:
    """Answers turns; every way out of one ends in a written message, recorded usage and one last event."""

    def __init__(
        self,
        runner: CachedRunner,
        ledger: Ledger,
        tasks: TurnTasks,
        titles: Titles,
        waiting: Waiting,
        artist: Artist,
    ) -> None:
        self._runner = runner
        self._opening = Opening(runner.parts, ledger, waiting)
        self._waiting = waiting
        self._ledger = ledger
        self._tasks = tasks
        self._artist = artist
        self.titles = titles

    async def answer(
        self, turn: Turn, principal: Principal, gone: Callable[[], Awaitable[None]] | None = None
    ) -> Answer:
        """The whole answer.

        Args:
            gone: returns once the client has gone; by `on_disconnect` the turn is then called off.

        Raises:
            GatewayError: whatever the turn failed with; what had been said is kept all the same.
        """
        started = perf_counter()
        slot = await self._tasks.slot(principal)
        try:
            return await self._answer(turn, principal, gone, started)
        finally:
            slot.release()

    async def _answer(
        self,
        turn: Turn,
        principal: Principal,
        gone: Callable[[], Awaitable[None]] | None,
        started: float,
    ) -> Answer:
        job = await self._opening.open(turn, principal, started)
        live = job.live
        # No client's leaving reaches a handler that has not begun to answer, so it may run the turn itself.
        running = self._tasks.adopt(owner=principal, live=live)
        departure = Departure(running, gone) if gone is not None and self._ends_with(principal) else None
        try:
            ending = await self._drive(running, job, _nobody if live is None else live.feed.put)
        finally:
            self._tasks.release(running)
            if departure is not None:
                departure.close()
        if isinstance(ending, TurnCompleted):
            return ending.answer
        raise ending.error

    async def stream(
        self, turn: Turn, principal: Principal, gone: Callable[[], Awaitable[None]] | None = None
    ) -> AsyncGenerator[ChatEvent, None]:
        """The turn's events, from `TurnStarted` to exactly one of `TurnCompleted` and `TurnFailed`.

        Closing the iterator early is a client that went away: by `on_disconnect` the turn then runs on or
        is cancelled, and is written down either way.

        Args:
            gone: returns once the client has gone; until something is sent to it nothing else would tell.

        Raises:
            GatewayError: before the first event, where the turn cannot start or no model fits it.
        """
        started = perf_counter()
        slot = await self._tasks.slot(principal)
        try:
            job = await self._opening.open(turn, principal, started)
        except BaseException:
            slot.release()
            raise
        live = job.live
        if live is None:
            channel = EventChannel(turn.request_id)
            put, events = channel.put, channel.follow()
        else:
            put, events = live.feed.put, live.feed.follow(1)
        running = self._tasks.start(
            lambda me: self._drive(me, job, put), owner=principal, live=live, slot=slot
        )
        departure = Departure(running, gone) if gone is not None and self._ends_with(principal) else None
        try:
            begun = False
            async for event in events:
                if not begun:
                    if isinstance(event, TurnFailed):
                        raise event.error
                    begun = True
                    yield TurnStarted(turn.request_id) if live is None else live.feed.first
                yield event
        finally:
            if departure is not None:
                departure.close()
            if self._ends_with(principal):
                running.abandon()

    async def _drive(
        self, running: RunningTurn, job: Job, tell: Callable[[ChatEvent], None]
    ) -> TurnCompleted | TurnFailed:
        """Run the turn to its end, in a task that no client's leaving reaches; the last event."""
        running.wanted = partial(self._runner.wanted, running.task)
        with turn_span(job) as it:
            ending = await self._run(running, job, tell)
            end_turn_span(it, ending)
        return ending

    async def _run(
        self, running: RunningTurn, job: Job, tell: Callable[[ChatEvent], None]
    ) -> TurnCompleted | TurnFailed:
        """The graph and unit of work 2."""
        attempts: list[Attempt] = []
        progress = Progress() if running.live is None else running.live.progress
        ending: TurnCompleted | TurnFailed | None = None

        def emit(event: ChatEvent) -> None:
            nonlocal ending
            if isinstance(event, (TurnCompleted, TurnFailed)):
                ending = event
            else:
                progress.add(event)
                tell(event)

        turn_id = job.reservation_id or new_id()
        self._ledger.watch(
            turn_id, job.principal.user_id, lambda: job.bill.so_far(attempts, lambda: progress.text)
        )
        try:
            await self._runner.run(
                job.turn,
                job.messages,
                account=job.principal.user_id,
                guard=self._guard(job),
                allowed_models=job.principal.models,
                attempts=attempts,
                emit=emit,
                memory=job.memory,
                services=self._artist.for_turn(job.principal, job.turn.request_id),
                budget=job.budget,
            )
        except asyncio.CancelledError as reason:
            running.called_off()
            if ending is None:
                ending = _called_off(job, progress, attempts, interrupted=INTERRUPTED in reason.args)
        except Exception:
            # Whatever a node did not foresee: the client gets an honest 500, the log the traceback.
            log.exception("turn.crashed", request_id=job.turn.request_id)
        if ending is None:
            answer = progress.answer(job.turn.request_id, "failed", attempts)
            ending = TurnFailed(GatewayError(), job.turn.request_id, answer)
        running.begin_settling()
        await self._ledger.unwatch(turn_id)
        ending = await self._settle(job, ending, attempts, turn_id)
        tell(ending)
        return ending

    def _guard(self, job: Job) -> GuardSet:
        guards = self._runner.parts.catalog.guardrails
        if job.principal.kind == "person":
            return guards.people
        return guards.api_keys.at_least(job.turn.guards)

    async def _settle(
        self, job: Job, ending: TurnCompleted | TurnFailed, attempts: list[Attempt], turn_id: UUID
    ) -> TurnCompleted | TurnFailed:
        """Unit of work 2: the last event is sent only once it is true, that is, written."""
        answer = ending.answer
        error = ending.error if isinstance(ending, TurnFailed) else None
        if answer is not None:
            answer = _complete(answer, job, attempts)
        if error is not None:
            if error.asked is None and attempts:
                error.asked = (attempts[-1].provider, attempts[-1].model)
            log_failure("turn.failed", error, job.turn.request_id)
        log_what_was_said(job, answer)
        try:
            await self._write(job, answer, attempts, error, turn_id)
        except GatewayError as failure:
            failure.charged = _has_cost(answer)  # it will be, once it can be written
            return TurnFailed(failure, job.turn.request_id, answer)
        except Exception:
            log.exception("turn.not_written", request_id=job.turn.request_id)
            return TurnFailed(GatewayError(), job.turn.request_id, answer)
        if error is None and answer is not None:
            if (first := job.untitled(answer)) is not None:
                self.titles.wish(job.principal, first)
            return TurnCompleted(answer)
        error = error or GatewayError()
        # Of an interrupted turn as well, but it was the gateway that asked to be asked again.
        error.charged = _has_cost(answer) and answer is not None and answer.status != "interrupted"
        return TurnFailed(error, job.turn.request_id, answer)

    async def _write(
        self,
        job: Job,
        answer: Answer | None,
        attempts: list[Attempt],
        error: GatewayError | None,
        turn_id: UUID,
    ) -> None:
        tools = self._runner.parts.tools.names
        count(attempts, answer, tools)
        owner, calls = job.bill.owner, job.bill.entries(attempts, answer, tools)
        if job.live is None or answer is None:
            await self._ledger.settle(owner, calls, turn_id)
            return
        finished = finished_turn(owner, job.live, answer, error, calls)
        if job.memory is not None and (summary := job.memory.summary) is not None:
            finished = replace(finished, summary=summary)
        end = await self._ledger.finish(finished)
        if end.waiting:
            self._waiting.freed(finished.conversation_id)
        if not end.stands:
            raise Unavailable(_TAKEN_OVER, retry_after=_RETRY_SECONDS)

    def _ends_with(self, principal: Principal) -> bool:
        """Whether a turn of this caller is called off when its client goes."""
        policy = self._runner.parts.catalog.on_disconnect
        return (policy.people if principal.kind == "person" else policy.api_keys) == "cancel"


def _has_cost(answer: Answer | None) -> bool:
    return answer is not None and (answer.usage.total_tokens > 0 or answer.cost_usd > 0)


def _nobody(event: ChatEvent) -> None:
    """Takes the events of a whole answer, which only its end is wanted of."""


def _called_off(
    job: Job, progress: Progress, attempts: list[Attempt], *, interrupted: bool
) -> TurnCompleted | TurnFailed:
    status: MessageStatus = "interrupted" if interrupted else "cancelled"
    answer = progress.answer(job.turn.request_id, status, attempts)
    if not interrupted:
        return TurnCompleted(answer)
    error = Unavailable(
        "The gateway is restarting; what was said is kept. Ask again.", retry_after=_RETRY_SECONDS
    )
    return TurnFailed(error, job.turn.request_id, answer)


def _complete(answer: Answer, job: Job, attempts: list[Attempt]) -> Answer:
    """The answer with its ids and with the time that was the gateway's own."""
    upstream = sum(a.ms for a in attempts) + sum(entry["ms"] for entry in answer.receipt.tools)
    overhead = max(0.0, (perf_counter() - job.started) * 1000 - upstream)
    opened = job.opened
    return replace(
        answer,
        conversation_id=str(opened.conversation_id) if opened else None,
        message_id=str(job.answer_id) if opened else None,
        receipt=replace(answer.receipt, overhead_ms=round(overhead, 3)),
    )
