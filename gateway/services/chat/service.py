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
from gateway.domain.accounts.principal import Principal
from gateway.domain.config.guardrails import GuardModes
from gateway.domain.events import (
    Answer,
    ChatEvent,
    MessageStatus,
    ModelCall,
    TurnCompleted,
    TurnFailed,
    TurnStarted,
)
from gateway.domain.requests import Turn
from gateway.services.chat.admission import AdmittedTurn, TurnAdmission
from gateway.services.chat.conversation_queue import ConversationQueue
from gateway.services.chat.image_tool import ImageToolBinding
from gateway.services.chat.prompt_log import log_prompts
from gateway.services.chat.titles import TitleGenerator
from gateway.services.chat.tracing import end_turn_span, turn_span
from gateway.services.execution.accumulator import AnswerAccumulator
from gateway.services.execution.disconnect import DisconnectWatcher
from gateway.services.execution.event_queue import CoalescingQueue
from gateway.services.execution.failure_log import log_failure
from gateway.services.execution.turn_tasks import INTERRUPTED, TurnTask, TurnTaskRegistry
from gateway.services.response_cache.cached_runner import CachingRunner
from gateway.services.usage.ledger import Ledger
from gateway.services.usage.settlement import finished_turn, record_metrics

log = structlog.get_logger(__name__)

_RETRY_AFTER_SECONDS = 5.0
_LEASE_LOST = "This worker was out of reach for too long, and the turn was ended without it. Ask again."


class ChatService:
    """Answers turns; every way out of one ends in a written message, recorded usage and one last event."""

    def __init__(
        self,
        runner: CachingRunner,
        ledger: Ledger,
        tasks: TurnTaskRegistry,
        titles: TitleGenerator,
        conversation_queue: ConversationQueue,
        image_tool: ImageToolBinding,
    ) -> None:
        self._runner = runner
        self._admission = TurnAdmission(runner.parts, ledger, conversation_queue)
        self._conversation_queue = conversation_queue
        self._ledger = ledger
        self._tasks = tasks
        self._image_tool = image_tool
        self.titles = titles

    async def answer(
        self, turn: Turn, principal: Principal, disconnected: Callable[[], Awaitable[None]] | None = None
    ) -> Answer:
        """The whole answer.

        Args:
            gone: returns once the client has gone; by `on_disconnect` the turn is then called off.

        Raises:
            GatewayError: whatever the turn failed with; what had been said is kept all the same.
        """
        started = perf_counter()
        permit = await self._tasks.acquire_permit(principal)
        try:
            return await self._answer(turn, principal, disconnected, started)
        finally:
            permit.release()

    async def _answer(
        self,
        turn: Turn,
        principal: Principal,
        disconnected: Callable[[], Awaitable[None]] | None,
        started: float,
    ) -> Answer:
        admitted = await self._admission.admit(turn, principal, started)
        live = admitted.live
        # No client's leaving reaches a handler that has not begun to answer, so it may run the turn itself.
        task = self._tasks.register_current(owner=principal, live=live)
        watcher = (
            DisconnectWatcher(task, disconnected)
            if disconnected is not None and self._cancels_on_disconnect(principal)
            else None
        )
        try:
            ending = await self._run_traced(
                task, admitted, _discard if live is None else live.broadcast.publish
            )
        finally:
            self._tasks.release(task)
            if watcher is not None:
                watcher.close()
        if isinstance(ending, TurnCompleted):
            return ending.answer
        raise ending.error

    async def stream(
        self, turn: Turn, principal: Principal, disconnected: Callable[[], Awaitable[None]] | None = None
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
        permit = await self._tasks.acquire_permit(principal)
        try:
            admitted = await self._admission.admit(turn, principal, started)
        except BaseException:
            permit.release()
            raise
        live = admitted.live
        if live is None:
            channel = CoalescingQueue(turn.request_id)
            publish, events = channel.put, channel.events()
        else:
            publish, events = live.broadcast.publish, live.broadcast.subscribe(1)
        task = self._tasks.start(
            lambda me: self._run_traced(me, admitted, publish), owner=principal, live=live, permit=permit
        )
        watcher = (
            DisconnectWatcher(task, disconnected)
            if disconnected is not None and self._cancels_on_disconnect(principal)
            else None
        )
        try:
            first_sent = False
            async for event in events:
                if not first_sent:
                    if isinstance(event, TurnFailed):
                        raise event.error
                    first_sent = True
                    yield TurnStarted(turn.request_id) if live is None else live.broadcast.turn_started
                yield event
        finally:
            if watcher is not None:
                watcher.close()
            if self._cancels_on_disconnect(principal):
                task.on_client_disconnect()

    async def _run_traced(
        self, task: TurnTask, admitted: AdmittedTurn, publish: Callable[[ChatEvent], None]
    ) -> TurnCompleted | TurnFailed:
        """Run the turn to its end, in a task that no client's leaving reaches; the last event."""
        task.has_waiters = partial(self._runner.has_waiters, task.task)
        with turn_span(admitted) as span:
            ending = await self._execute(task, admitted, publish)
            end_turn_span(span, ending)
        return ending

    async def _execute(
        self, task: TurnTask, admitted: AdmittedTurn, publish: Callable[[ChatEvent], None]
    ) -> TurnCompleted | TurnFailed:
        """The graph and unit of work 2."""
        calls: list[ModelCall] = []
        accumulator = AnswerAccumulator() if task.live is None else task.live.accumulator
        ending: TurnCompleted | TurnFailed | None = None

        def emit(event: ChatEvent) -> None:
            nonlocal ending
            if isinstance(event, (TurnCompleted, TurnFailed)):
                ending = event
            else:
                accumulator.add(event)
                publish(event)

        turn_id = admitted.reservation_id or new_id()
        self._ledger.attach_bill(
            turn_id,
            admitted.principal.user_id,
            lambda: admitted.bill.current(calls, lambda: accumulator.text),
        )
        try:
            await self._runner.run(
                admitted.turn,
                admitted.messages,
                account_id=admitted.principal.user_id,
                guards=self._guard_modes(admitted),
                allowed_models=admitted.principal.models,
                calls=calls,
                emit=emit,
                memory=admitted.memory,
                services=self._image_tool.for_turn(admitted.principal, admitted.turn.request_id),
                budget=admitted.budget,
            )
        except asyncio.CancelledError as reason:
            task.acknowledge_cancel()
            if ending is None:
                ending = _cancelled_ending(
                    admitted, accumulator, calls, interrupted=INTERRUPTED in reason.args
                )
        except Exception:
            # Whatever a node did not foresee: the client gets an honest 500, the log the traceback.
            log.exception("turn.crashed", request_id=admitted.turn.request_id)
        if ending is None:
            answer = accumulator.build_answer(admitted.turn.request_id, "failed", calls)
            ending = TurnFailed(GatewayError(), admitted.turn.request_id, answer)
        task.block_cancellation()
        await self._ledger.detach_bill(turn_id)
        ending = await self._settle(admitted, ending, calls, turn_id)
        publish(ending)
        return ending

    def _guard_modes(self, admitted: AdmittedTurn) -> GuardModes:
        guards = self._runner.parts.catalog.guardrails
        if admitted.principal.kind == "person":
            return guards.people
        return guards.api_keys.at_least(admitted.turn.guard_overrides)

    async def _settle(
        self,
        admitted: AdmittedTurn,
        ending: TurnCompleted | TurnFailed,
        calls: list[ModelCall],
        turn_id: UUID,
    ) -> TurnCompleted | TurnFailed:
        """Unit of work 2: the last event is sent only once it is true, that is, written."""
        answer = ending.answer
        error = ending.error if isinstance(ending, TurnFailed) else None
        if answer is not None:
            answer = _finalize(answer, admitted, calls)
        if error is not None:
            if error.last_upstream is None and calls:
                error.last_upstream = (calls[-1].provider, calls[-1].model)
            log_failure("turn.failed", error, admitted.turn.request_id)
        log_prompts(admitted, answer)
        try:
            await self._write(admitted, answer, calls, error, turn_id)
        except GatewayError as failure:
            failure.charged = _has_cost(answer)  # it will be, once it can be written
            return TurnFailed(failure, admitted.turn.request_id, answer)
        except Exception:
            log.exception("turn.not_written", request_id=admitted.turn.request_id)
            return TurnFailed(GatewayError(), admitted.turn.request_id, answer)
        if error is None and answer is not None:
            if (first := admitted.first_exchange(answer)) is not None:
                self.titles.schedule(admitted.principal, first)
            return TurnCompleted(answer)
        error = error or GatewayError()
        # Of an interrupted turn as well, but it was the gateway that asked to be asked again.
        error.charged = _has_cost(answer) and answer is not None and answer.status != "interrupted"
        return TurnFailed(error, admitted.turn.request_id, answer)

    async def _write(
        self,
        admitted: AdmittedTurn,
        answer: Answer | None,
        calls: list[ModelCall],
        error: GatewayError | None,
        turn_id: UUID,
    ) -> None:
        tools = self._runner.parts.tools.names
        record_metrics(calls, answer, tools)
        owner, entries = admitted.bill.owner, admitted.bill.entries(calls, answer, tools)
        if admitted.live is None or answer is None:
            await self._ledger.settle(owner, entries, turn_id)
            return
        finished = finished_turn(owner, admitted.live, answer, error, entries)
        if admitted.memory is not None and (summary := admitted.memory.summary) is not None:
            finished = replace(finished, summary=summary)
        closed = await self._ledger.close_turn(finished)
        if closed.has_waiters:
            self._conversation_queue.notify_released(finished.conversation_id)
        if not closed.applied:
            raise Unavailable(_LEASE_LOST, retry_after=_RETRY_AFTER_SECONDS)

    def _cancels_on_disconnect(self, principal: Principal) -> bool:
        """Whether a turn of this caller is called off when its client goes."""
        policy = self._runner.parts.catalog.on_disconnect
        return (policy.people if principal.kind == "person" else policy.api_keys) == "cancel"


def _has_cost(answer: Answer | None) -> bool:
    return answer is not None and (answer.usage.total_tokens > 0 or answer.cost_usd > 0)


def _discard(event: ChatEvent) -> None:
    """Takes the events of a whole answer, which only its end is wanted of."""


def _cancelled_ending(
    admitted: AdmittedTurn, accumulator: AnswerAccumulator, calls: list[ModelCall], *, interrupted: bool
) -> TurnCompleted | TurnFailed:
    status: MessageStatus = "interrupted" if interrupted else "cancelled"
    answer = accumulator.build_answer(admitted.turn.request_id, status, calls)
    if not interrupted:
        return TurnCompleted(answer)
    error = Unavailable(
        "The gateway is restarting; what was said is kept. Ask again.", retry_after=_RETRY_AFTER_SECONDS
    )
    return TurnFailed(error, admitted.turn.request_id, answer)


def _finalize(answer: Answer, admitted: AdmittedTurn, calls: list[ModelCall]) -> Answer:
    """The answer with its ids and with the time that was the gateway's own."""
    upstream_ms = sum(a.ms for a in calls) + sum(entry["ms"] for entry in answer.receipt.tools)
    overhead_ms = max(0.0, (perf_counter() - admitted.started) * 1000 - upstream_ms)
    opened = admitted.opened
    return replace(
        answer,
        conversation_id=str(opened.conversation_id) if opened else None,
        message_id=str(admitted.answer_id) if opened else None,
        receipt=replace(answer.receipt, overhead_ms=round(overhead_ms, 3)),
    )
