"""What every turn leaves behind: the written answer, a usage row for each model call, the metrics."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from uuid import UUID

from gateway.core import metrics
from gateway.core.exceptions import GatewayError
from gateway.domain.chat import Turn
from gateway.domain.events import Answer, Attempt
from gateway.domain.ledger import FinishedTurn, OpenedTurn, UsageEntry, UsageOwner
from gateway.domain.principal import Principal
from gateway.repositories.turn import TurnRepository


class Ledger:
    """Settles turns in one statement each."""

    def __init__(self, turns: TurnRepository) -> None:
        self._turns = turns

    async def settle(
        self,
        principal: Principal,
        turn: Turn,
        answer: Answer | None,
        attempts: Sequence[Attempt],
        opened: OpenedTurn | None,
        error: GatewayError | None,
    ) -> None:
        """Unit of work 2: the answer (of a persisted turn) and its usage, in one transaction.

        Raises:
            Unavailable: the database cannot be reached; nothing was written.
        """
        _count(attempts, answer)
        message_id = UUID(answer.message_id) if answer is not None and answer.message_id else None
        owner = UsageOwner(principal.user_id, turn.request_id, principal.api_key_id, message_id)
        calls = [_entry(attempt) for attempt in attempts]
        if opened is None or answer is None or message_id is None:
            await self._turns.record_usage(owner, calls)
            return
        await self._turns.finish_turn(
            FinishedTurn(
                owner=owner,
                conversation_id=opened.conversation_id,
                message_id=message_id,
                content=answer.content,
                status=answer.status,
                model=answer.model or None,
                provider=answer.provider or None,
                finish_reason=answer.finish_reason,
                usage=answer.usage,
                cost_usd=answer.cost_usd,
                receipt=answer.receipt.as_json(),
                tool_calls=[asdict(call) for call in answer.tool_calls] or None,
                error={"code": error.code, "message": error.message} if error is not None else None,
                calls=calls,
            )
        )


def _entry(attempt: Attempt) -> UsageEntry:
    return UsageEntry(
        kind="chat",
        model=attempt.model,
        provider=attempt.provider,
        usage=attempt.usage,
        cost_usd=attempt.cost_usd,
        outcome=attempt.outcome,
        latency_ms=round(attempt.ms),
    )


def _count(attempts: Sequence[Attempt], answer: Answer | None) -> None:
    for attempt in attempts:
        upstream, model = attempt.provider, attempt.model
        metrics.upstream_requests.labels(upstream, model, attempt.outcome).inc()
        metrics.upstream_latency.labels(upstream, model).observe(attempt.ms / 1000)
        if attempt.usage.total_tokens:
            metrics.tokens.labels(model, "prompt").inc(attempt.usage.prompt_tokens)
            metrics.tokens.labels(model, "completion").inc(attempt.usage.completion_tokens)
            metrics.cost_usd.labels(model).inc(float(attempt.cost_usd))
    if answer is not None and answer.fallback_from is not None:
        metrics.fallback_used.labels(answer.fallback_from, answer.model).inc()
