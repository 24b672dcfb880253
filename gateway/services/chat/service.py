"""The chat use case behind every API: admit a turn, run it, settle it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from functools import partial
from time import perf_counter

import structlog

from gateway.agent.turn_run import TurnRun
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
from gateway.domain.requests import RequestScope, Turn
from gateway.services.chat.admission import AdmittedTurn, PersistedTurn, TurnAdmission
from gateway.services.chat.conversation_queue import ConversationQueue
from gateway.services.chat.image_tool import ImageToolBinding
from gateway.services.chat.settlement import TurnSettlement
from gateway.services.chat.titles import TitleGenerator
from gateway.services.chat.tracing import end_turn_span, turn_span
from gateway.services.execution.accumulator import AnswerAccumulator
from gateway.services.execution.disconnect import DisconnectWatcher
from gateway.services.execution.event_queue import CoalescingQueue
from gateway.services.execution.live_turn import LiveTurn
from gateway.services.execution.turn_tasks import INTERRUPTED, TurnTask, TurnTaskRegistry
from gateway.services.response_cache.cached_runner import CachingRunner
from gateway.services.usage.ledger import Ledger

log = structlog.get_logger(__name__)

_RETRY_AFTER_SECONDS = 5.0
_RESTARTING = "The gateway is restarting. The answer so far is stored; send the question again."

Publish = Callable[[ChatEvent], None]
Ending = TurnCompleted | TurnFailed


class ChatService:
    """Answers turns.

    Every turn ends with a stored message, settled usage and exactly one last event.
    """

    def __init__(
        self,
        runner: CachingRunner,
        ledger: Ledger,
        tasks: TurnTaskRegistry,
        titles: TitleGenerator,
        conversation_queue: ConversationQueue,
        image_tool: ImageToolBinding,
    ) -> None:
        self.runner = runner
        self._admission = TurnAdmission(runner.resources, ledger, conversation_queue)
        self._settlement = TurnSettlement(ledger, titles, conversation_queue, runner.resources.tools.names)
        self._ledger = ledger
        self._tasks = tasks
        self._image_tool = image_tool
        self.titles = titles

    async def answer(self, turn: Turn, scope: RequestScope) -> Answer:
        """Return the complete answer.

        If the client disconnects, `on_disconnect` decides whether the turn is cancelled.

        Raises:
            GatewayError: the error of a failed turn; its partial answer is stored.
        """
        started = perf_counter()
        permit = await self._tasks.acquire_permit(scope.principal)
        try:
            return await self._answer(turn, scope, started)
        finally:
            permit.release()

    async def _answer(self, turn: Turn, scope: RequestScope, started: float) -> Answer:
        admitted = await self._admission.admit(turn, scope, started)
        live = _live(admitted)
        # A disconnect does not end a handler that has sent nothing, so its task can run the turn.
        task = self._tasks.register_current(owner=scope.principal, live=live)
        watcher = self._watch(task, scope)
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

    async def stream(self, turn: Turn, scope: RequestScope) -> AsyncGenerator[ChatEvent, None]:
        """Yield the turn's events, from `TurnStarted` to `TurnCompleted` or `TurnFailed`.

        Closing the iterator early means that the client disconnected: `on_disconnect` decides whether the
        turn continues or is cancelled. It is settled in both cases.

        Raises:
            GatewayError: before the first event, if the turn is not admitted or no model can answer it.
        """
        started = perf_counter()
        permit = await self._tasks.acquire_permit(scope.principal)
        try:
            admitted = await self._admission.admit(turn, scope, started)
        except BaseException:
            permit.release()
            raise
        live = _live(admitted)
        if live is None:
            queue = CoalescingQueue(turn.request_id)
            first, publish, events = TurnStarted(turn.request_id), queue.put, queue.events()
        else:
            broadcast = live.broadcast
            first, publish, events = broadcast.turn_started, broadcast.publish, broadcast.subscribe(1)
        task = self._tasks.start(
            lambda task: self._run_traced(task, admitted, publish),
            owner=scope.principal,
            live=live,
            permit=permit,
        )
        watcher = self._watch(task, scope)
        try:
            first_sent = False
            async for event in events:
                if not first_sent:
                    if isinstance(event, TurnFailed):
                        raise event.error
                    first_sent = True
                    yield first
                yield event
        finally:
            if watcher is not None:
                watcher.close()
            if self._cancels_on_disconnect(scope.principal):
                task.on_client_disconnect()

    async def _run_traced(self, task: TurnTask, admitted: AdmittedTurn, publish: Publish) -> Ending:
        """Run the turn in a task that client disconnects do not cancel.

        Returns:
            the last event.
        """
        task.has_waiters = partial(self.runner.has_waiters, task.task)
        with turn_span(admitted) as span:
            ending = await self._execute(task, admitted, publish)
            end_turn_span(span, ending)
        return ending

    async def _execute(self, task: TurnTask, admitted: AdmittedTurn, publish: Publish) -> Ending:
        """Run the graph, then settle."""
        calls: list[ModelCall] = []
        accumulator = AnswerAccumulator() if task.live is None else task.live.accumulator
        turn_id = admitted.reservation_id or new_id()
        self._ledger.attach_bill(
            turn_id,
            admitted.scope.principal.user_id,
            lambda: admitted.bill.current(calls, lambda: accumulator.text),
        )
        ending = await self._run_graph(task, admitted, accumulator, calls, publish)
        task.block_cancellation()
        await self._ledger.detach_bill(turn_id)
        # The last event is sent only once it is true: after the answer is stored and settled.
        ending = await self._settlement.settle(admitted, ending, calls, turn_id)
        publish(ending)
        return ending

    async def _run_graph(
        self,
        task: TurnTask,
        admitted: AdmittedTurn,
        accumulator: AnswerAccumulator,
        calls: list[ModelCall],
        publish: Publish,
    ) -> Ending:
        """Run the graph and fill `calls` and `accumulator`. Never raises."""
        ending: Ending | None = None
        request_id, principal = admitted.turn.request_id, admitted.scope.principal

        def emit(event: ChatEvent) -> None:
            nonlocal ending
            if isinstance(event, (TurnCompleted, TurnFailed)):
                ending = event
            else:
                accumulator.add(event)
                publish(event)

        try:
            run = TurnRun(
                turn=admitted.turn,
                messages=admitted.prompt,
                guards=self._guard_modes(admitted),
                allowed_models=principal.models,
                model_calls=calls,
                emit=emit,
                memory=admitted.memory,
                services=self._image_tool.for_turn(admitted.scope),
                budget=admitted.budget,
            )
            await self.runner.run(run, principal.user_id)
        except asyncio.CancelledError as reason:
            task.acknowledge_cancel()
            if ending is None:
                interrupted = INTERRUPTED in reason.args
                ending = _cancelled_ending(request_id, accumulator, calls, interrupted=interrupted)
        except Exception:
            # A bug: the client gets a 500 without details, the log gets the traceback.
            log.exception("turn.crashed", request_id=request_id)
        if ending is None:
            answer = accumulator.build_answer(request_id, "failed", calls)
            ending = TurnFailed(GatewayError(), request_id, answer)
        return ending

    def _guard_modes(self, admitted: AdmittedTurn) -> GuardModes:
        guards = self.runner.resources.catalog.guardrails
        if admitted.scope.principal.kind == "user":
            return guards.people
        return guards.api_keys.at_least(admitted.turn.guard_overrides)

    def _watch(self, task: TurnTask, scope: RequestScope) -> DisconnectWatcher | None:
        if scope.disconnected is None or not self._cancels_on_disconnect(scope.principal):
            return None
        return DisconnectWatcher(task, scope.disconnected)

    def _cancels_on_disconnect(self, principal: Principal) -> bool:
        """Return whether the principal's turns are cancelled on a client disconnect."""
        policy = self.runner.resources.catalog.on_disconnect
        return (policy.people if principal.kind == "user" else policy.api_keys) == "cancel"


def _live(admitted: AdmittedTurn) -> LiveTurn | None:
    return admitted.live if isinstance(admitted, PersistedTurn) else None


def _discard(event: ChatEvent) -> None:
    """Discard an intermediate event; the caller only needs the final answer."""


def _cancelled_ending(
    request_id: str, accumulator: AnswerAccumulator, calls: list[ModelCall], *, interrupted: bool
) -> Ending:
    """Return the last event of a cancelled turn.

    It is a completion if the client cancelled, and a failure if the gateway interrupted the turn.
    """
    status: MessageStatus = "interrupted" if interrupted else "cancelled"
    answer = accumulator.build_answer(request_id, status, calls)
    if not interrupted:
        return TurnCompleted(answer)
    return TurnFailed(Unavailable(_RESTARTING, retry_after=_RETRY_AFTER_SECONDS), request_id, answer)
