"""Builds the arguments of turn statements, in the order of their placeholders."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any
from uuid import UUID

from gateway.core.database import clean_text, dump_json
from gateway.domain.usage.budgets import Reservation
from gateway.domain.usage.turn_records import NewTurn, UsageEntry, UsageOwner

_ZERO = Decimal(0)


def opening_arguments(turn: NewTurn, conversation_id: UUID) -> tuple[Any, ...]:
    """Arguments of both opening statements: $1 to $15."""
    return (
        conversation_id,
        turn.user_id,
        turn.question_id,
        turn.answer_id,
        clean_text(turn.question),
        dump_json(turn.metadata),
        turn.lease_seconds,
        *reservation_arguments(turn.answer_id, turn.reservation),
    )


def question_bytes(common: tuple[Any, ...], request: str | None) -> int:
    """Return the stored size of a question: text, metadata and request data."""
    text, metadata = common[4], common[5]
    return len(text.encode()) + len(metadata) + len(request or "")


def storage_limit(turn: NewTurn) -> int | None:
    """Return the account's storage limit; None without a limit."""
    return None if turn.reservation is None else turn.reservation.storage_limit


def reservation_arguments(id_: UUID, reservation: Reservation | None) -> tuple[Any, ...]:
    """Arguments of `reservation_ctes` and `lease_cte`; zero without a reservation."""
    if reservation is None:
        return (id_, 0, _ZERO, None, None, 0, _ZERO, None)
    return (
        id_,
        reservation.tokens,
        reservation.usd,
        reservation.tokens_per_day,
        reservation.usd_per_month,
        reservation.spare_tokens,
        reservation.spare_usd,
        optional_json(reservation.bill),
    )


def optional_json(value: Any) -> str | None:
    """Serialize a value for jsonb; None stays NULL."""
    return None if value is None else dump_json(value)


def usage_arguments(owner: UsageOwner, calls: Sequence[UsageEntry]) -> tuple[Any, ...]:
    """Arguments of `statements._usage_cte`."""
    return (
        owner.user_id,
        owner.api_key_id,
        owner.request_id,
        owner.message_id,
        owner.request_key,
        [call.id for call in calls],
        [call.created_at for call in calls],
        [call.kind for call in calls],
        [call.model for call in calls],
        [call.provider for call in calls],
        [call.usage.prompt_tokens for call in calls],
        [call.usage.completion_tokens for call in calls],
        [call.cost_usd for call in calls],
        [call.outcome for call in calls],
        [call.latency_ms for call in calls],
        [call.usage.cached_tokens for call in calls],
        [call.usage.cache_write_tokens for call in calls],
        [call.usage.reasoning_tokens for call in calls],
        [call.upstream_reply.status if call.upstream_reply is not None else None for call in calls],
        [
            clean_text(call.upstream_reply.reason) or None if call.upstream_reply is not None else None
            for call in calls
        ],
        [call.step for call in calls],
    )
