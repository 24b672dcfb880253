"""How a stored answer ended, as the last event of the native stream."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import orjson

from gateway.core.exceptions import GatewayError, Unavailable
from gateway.dialects.native import error_frame
from gateway.dialects.sse import frame
from gateway.domain.conversation import StoredMessage
from gateway.domain.usage import money

_INTERRUPTED = "The gateway was restarted before the answer was finished; what was said is kept. Ask again."


def ending_frame(conversation_id: UUID, message: StoredMessage, request_id: str, number: int) -> bytes:
    """`done` or `error`, as its message tells it."""
    if message.status in ("complete", "cancelled"):
        data = orjson.dumps(stored_body(conversation_id, message, request_id))
        return frame(data, event="done", event_id=number)
    return error_frame(_error_of(message), request_id, number)


def stored_body(conversation_id: UUID, message: StoredMessage, request_id: str) -> dict[str, Any]:
    """The JSON answer, as `answer_body` makes it of one that has just ended."""
    return {
        "conversation_id": str(conversation_id),
        "request_id": request_id,
        "cache": ((message.receipt or {}).get("cache") or {}).get("result", "bypass"),
        "message": {
            "id": str(message.id),
            "role": message.role,
            "content": message.content,
            "status": message.status,
            "model": message.model or "",
            "provider": message.provider or "",
            "finish_reason": message.finish_reason,
            "created_at": message.created_at,
            "usage": message.usage.as_json(),
            "cost_usd": money(message.cost_usd),
        },
        "receipt": message.shown_receipt or {},
    }


def _error_of(message: StoredMessage) -> GatewayError:
    """What the turn ended with, by the code that is kept of it."""
    told = message.error or {}
    kinds = {kind.code: kind for kind in _kinds(GatewayError)}
    if message.status == "interrupted" or told.get("code") not in kinds:
        return Unavailable(_INTERRUPTED, retry_after=1)
    return kinds[told["code"]](told.get("message"))


def _kinds(of: type[GatewayError]) -> list[type[GatewayError]]:
    """The tree of errors, the base of each code last, so that it is what the code stands for."""
    return [kind for child in of.__subclasses__() for kind in _kinds(child)] + [of]
