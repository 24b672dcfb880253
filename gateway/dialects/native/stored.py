"""The final event of the native stream, from a stored answer."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import orjson

from gateway.core.exceptions import GatewayError, Unavailable
from gateway.dialects.native.stream import error_event
from gateway.dialects.sse import frame
from gateway.domain.conversations.models import StoredMessage
from gateway.domain.money import format_usd

_INTERRUPTED = (
    "The gateway restarted before the answer was complete. The partial answer is stored; "
    "send the question again."
)


def final_event(conversation_id: UUID, message: StoredMessage, request_id: str, number: int) -> bytes:
    """Encode `done` or `error` from the stored message."""
    if message.status in ("complete", "cancelled"):
        data = orjson.dumps(stored_body(conversation_id, message, request_id))
        return frame(data, event="done", event_id=number)
    return error_event(_restore_error(message), request_id, number)


def stored_body(conversation_id: UUID, message: StoredMessage, request_id: str) -> dict[str, Any]:
    """Return the JSON answer, like `answer_body` for a live turn."""
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
    """Restore the error that ended the turn from its stored code."""
    stored = message.error or {}
    classes = {kind.code: kind for kind in _error_classes(GatewayError)}
    if message.status == "interrupted" or stored.get("code") not in classes:
        return Unavailable(_INTERRUPTED, retry_after=1)
    return classes[stored["code"]](stored.get("message"))


def _error_classes(base_class: type[GatewayError]) -> list[type[GatewayError]]:
    """Return the class and all its subclasses, each base class after its subclasses.

    So a dictionary by `code` maps each code to the base class that defines it.
    """
    return [
        error_class for subclass in base_class.__subclasses__() for error_class in _error_classes(subclass)
    ] + [base_class]
