"""Settles a turn: stores the answer, records usage, releases the reservation."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from time import perf_counter
from uuid import UUID

import structlog

from gateway.core.exceptions import GatewayError, Unavailable
from gateway.domain.conversations.answer_details import details_to_storage
from gateway.domain.conversations.models import REQUEST_ID
from gateway.domain.conversations.stored_messages import calls_to_storage
from gateway.domain.events import Answer, ModelCall, TurnCompleted, TurnFailed
from gateway.domain.usage.turn_records import FinishedTurn, UsageEntry
from gateway.services.chat.admission import AdmittedTurn, PersistedTurn
from gateway.services.chat.conversation_queue import ConversationQueue
from gateway.services.chat.prompt_log import log_prompts
from gateway.services.chat.titles import TitleGenerator
from gateway.services.execution.failure_log import log_failure
from gateway.services.usage.ledger import Ledger
from gateway.services.usage.metrics import record_turn_metrics

log = structlog.get_logger(__name__)

_RETRY_AFTER_SECONDS = 5.0
_LEASE_LOST = (
    "This worker was unreachable for too long, and another one ended the turn. Send the question again."
)

Ending = TurnCompleted | TurnFailed


class TurnSettlement:
    """Stores the answer of a turn and settles its cost, in one transaction.

    It runs exactly once per turn, whether the turn completed, failed or was cancelled.
    """

    def __init__(
        self,
        ledger: Ledger,
        titles: TitleGenerator,
        conversation_queue: ConversationQueue,
        tool_names: Collection[str],
    ) -> None:
        self._ledger = ledger
        self._titles = titles
        self._conversation_queue = conversation_queue
        self._tool_names = tool_names

    async def settle(
        self, admitted: AdmittedTurn, ending: Ending, calls: Sequence[ModelCall], turn_id: UUID
    ) -> Ending:
        """Store and settle the turn.

        Returns:
            the event to send: `ending` with the answer's ids, or a failure if it could not be stored.
        """
        request_id = admitted.turn.request_id
        answer = ending.answer
        error = ending.error if isinstance(ending, TurnFailed) else None
        if answer is not None:
            answer = _finalize(answer, admitted, calls)
        if error is not None:
            if error.last_upstream is None and calls:
                error.last_upstream = (calls[-1].provider, calls[-1].model)
            log_failure("turn.failed", error, request_id)
        log_prompts(request_id, admitted.scope.principal.user_id, admitted.prompt, answer)
        try:
            await self._write(admitted, answer, calls, error, turn_id)
        except GatewayError as failure:
            failure.charged = _has_cost(answer)  # the ledger settles it later
            return TurnFailed(failure, request_id, answer)
        except Exception:
            log.exception("turn.not_persisted", request_id=request_id)
            return TurnFailed(GatewayError(), request_id, answer)
        if error is None and answer is not None:
            if isinstance(admitted, PersistedTurn) and (first := admitted.first_exchange(answer)) is not None:
                self._titles.schedule(admitted.scope.principal, first)
            return TurnCompleted(answer)
        error = error or GatewayError()
        # An interrupted turn has a cost too, but the gateway itself asked the client to try again.
        error.charged = _has_cost(answer) and answer is not None and answer.status != "interrupted"
        return TurnFailed(error, request_id, answer)

    async def _write(
        self,
        admitted: AdmittedTurn,
        answer: Answer | None,
        calls: Sequence[ModelCall],
        error: GatewayError | None,
        turn_id: UUID,
    ) -> None:
        record_turn_metrics(calls, answer, self._tool_names)
        entries = admitted.bill.entries(calls, answer, self._tool_names)
        if not isinstance(admitted, PersistedTurn) or answer is None:
            await self._ledger.settle_calls(admitted.bill.owner, entries, turn_id)
            return
        closed = await self._ledger.settle_turn(_finished_turn(admitted, answer, error, entries))
        if closed.has_waiters:
            self._conversation_queue.notify_released(admitted.live.conversation_id)
        if not closed.applied:
            raise Unavailable(_LEASE_LOST, retry_after=_RETRY_AFTER_SECONDS)


def _finished_turn(
    admitted: PersistedTurn, answer: Answer, error: GatewayError | None, entries: Sequence[UsageEntry]
) -> FinishedTurn:
    live, owner = admitted.live, admitted.bill.owner
    return FinishedTurn(
        owner=owner,
        conversation_id=live.conversation_id,
        message_id=live.message_id,
        content=answer.content,
        status=answer.status,
        lock_token=live.lock_token,
        events=len(live.broadcast),
        model=answer.model or None,
        provider=answer.provider or None,
        finish_reason=answer.finish_reason,
        usage=answer.usage,
        cost_usd=answer.cost_usd,
        receipt=answer.receipt.as_json() | {REQUEST_ID: owner.request_id},
        tool_calls=calls_to_storage(answer.tool_calls, answer.vendor) or None,
        error={"code": error.code, "message": error.message} if error is not None else None,
        calls=entries,
        summary=admitted.memory.summary if admitted.memory is not None else None,
        details=details_to_storage(answer.reasoning, live.accumulator.tool_runs),
    )


def _finalize(answer: Answer, admitted: AdmittedTurn, calls: Sequence[ModelCall]) -> Answer:
    """Return the answer with its ids and the gateway's share of its duration."""
    upstream_ms = sum(call.ms for call in calls) + sum(entry["ms"] for entry in answer.receipt.tools)
    overhead_ms = max(0.0, (perf_counter() - admitted.started) * 1000 - upstream_ms)
    answer = replace(answer, receipt=replace(answer.receipt, overhead_ms=round(overhead_ms, 3)))
    if not isinstance(admitted, PersistedTurn):
        return replace(answer, conversation_id=None, message_id=None)
    live = admitted.live
    return replace(answer, conversation_id=str(live.conversation_id), message_id=str(live.message_id))


def _has_cost(answer: Answer | None) -> bool:
    return answer is not None and (answer.usage.total_tokens > 0 or answer.cost_usd > 0)
