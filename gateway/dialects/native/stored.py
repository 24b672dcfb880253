"""How a stored answer ended, as the last event of the native stream."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import orjson

from gateway.core.exceptions import GatewayError, Unavailable
from gateway.dialects.native.stream import error_event
from gateway.dialects.sse import frame
from gateway.domain.conversations.models import StoredMessage
from gateway.domain.money import format_usd

_INTERRUPTED = "The gateway was restarted before the answer was finished; what was said is kept. Ask again."


def final_event(conversation_id: UUID, message: StoredMessage, request_id: str, number: int) -> bytes:
    """`done` or `error`, as its message tells it."""
    if message.status in ("complete", "cancelled"):
        data = orjson.dumps(stored_body(conversation_id, message, request_id))
        return frame(data, event="done", event_id=number)
    return error_event(_restore_error(message), request_id, number)


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
            "cost_usd": format_usd(message.cost_usd),
        },
        "receipt": message.public_receipt or {},
    }


def _restore_error(message: StoredMessage) -> GatewayError:
    """What the turn ended with, by the code that is kept of it."""
    stored = message.error or {}
    classes = {kind.code: kind for kind in _error_classes(GatewayError)}
    if message.status == "interrupted" or stored.get("code") not in classes:
        return Unavailable(_INTERRUPTED, retry_after=1)
    return classes[stored["code"]](stored.get("message"))


def _error_classes(base_class: type[GatewayError]) -> list[type[GatewayError]]:
    """The tree of errors, the base of each code last, so that it is what the code stands for."""
    return [
        error_class for subclass in base_class.__subclasses__() for error_class in _error_classes(subclass)
    ] + [base_class]
