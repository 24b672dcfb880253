"""Answers of the native API: JSON, and streams of named events."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import orjson

from gateway.core.exceptions import GatewayError
from gateway.dialects.errors import render_error
from gateway.dialects.sse import frame
from gateway.domain.events import (
    Answer,
    ChatEvent,
    ReasoningDelta,
    RouteChosen,
    TextDelta,
    TextReplaced,
    ToolFinished,
    ToolStarted,
    TurnCompleted,
    TurnFailed,
    TurnStarted,
)
from gateway.domain.money import format_usd


def answer_body(answer: Answer) -> dict[str, Any]:
    """Return the JSON answer, which is also the data of `done`."""
    return {
        "conversation_id": answer.conversation_id,
        "request_id": answer.request_id,
        "cache": answer.cache,
        "message": {
            "id": answer.message_id,
            "role": "assistant",
            "content": answer.content,
            "status": answer.status,
            "model": answer.model,
            "provider": answer.provider,
            "finish_reason": answer.finish_reason,
            "created_at": answer.created_at,
            "usage": answer.usage.as_json(),
            "cost_usd": format_usd(answer.cost_usd),
        },
        "receipt": answer.receipt.as_json(),
    }


def error_event(error: GatewayError, request_id: str | None, number: int) -> bytes:
    """Encode the event `error`.

    Its body includes the retry delay, which is a header elsewhere.
    """
    _, _, body = render_error(error, request_id)
    if error.retry_after is not None:
        body["error"]["retry_after"] = error.retry_after
    return frame(orjson.dumps(body), event="error", event_id=number)


class NativeEncoder:
    """Encodes named events.

    Ids are event numbers of the turn, including hidden events.
    """

    def __init__(self) -> None:
        self._id = 0

    def encode(self, event: ChatEvent) -> bytes | None:
        """See `StreamEncoder`."""
        return self.encode_numbered(self._id + 1, event)

    def encode_numbered(self, number: int, event: ChatEvent) -> bytes | None:
        """Encode an event with a given number."""
        self._id = number
        match event:
            case TextDelta(text=text):
                return self._frame("delta", {"text": text})
            case ReasoningDelta(text=text):
                return self._frame("reasoning", {"text": text})
            case TurnStarted():
                return self._frame("turn", asdict(event))
            case RouteChosen():
                return self._frame("route", asdict(event))
            case ToolStarted(call=call):
                data = {"id": call.id, "name": call.name, "arguments": call.arguments}
                return self._frame("tool_call", data)
            case ToolFinished(id=id_, name=name, ok=ok, content=content, ms=ms):
                # Costs are in the receipt.
                return self._frame(
                    "tool_result", {"id": id_, "name": name, "ok": ok, "content": content, "ms": ms}
                )
            case TextReplaced():
                return self._frame("replace", asdict(event))
            case TurnCompleted(answer=answer):
                return self._frame("done", answer_body(answer))
            case TurnFailed(error=error, request_id=request_id):
                return error_event(error, request_id, number)
            case _:
                return None

    def _frame(self, name: str, data: dict[str, Any]) -> bytes:
        return frame(orjson.dumps(data), event=name, event_id=self._id)
