"""The gateway's own dialect.

`/api/chat` in JSON, `/api/chat/stream` as named events.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any, Literal

import orjson
from pydantic import ConfigDict, Field

from gateway.core.exceptions import GatewayError
from gateway.core.ids import parse_id
from gateway.dialects.base import parse_body
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
from gateway.domain.messages import Message
from gateway.domain.money import format_usd
from gateway.domain.requests import ConversationTarget, Sampling, Turn
from gateway.schemas.base import Body, Metadata, items

# In place of a message id: the question has no parent, like an edited first question.
ROOT = "root"
MAX_TOOLS = 128


class RegenerateBody(Body):
    """Parameters for regenerating an answer; omitted fields default as in a turn."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True, strict=True)

    model: Annotated[str | None, Field(max_length=200, description="A model, an alias or `auto`.")] = None
    temperature: Annotated[float | None, Field(ge=0, le=2, strict=False)] = None
    max_tokens: Annotated[int | None, Field(ge=1, le=1_000_000)] = None
    system: Annotated[str | None, Field(max_length=100_000)] = None
    tools: Annotated[
        Literal["auto", "none"] | Annotated[list[Annotated[str, Field(max_length=200)]], items(MAX_TOOLS)],
        Field(description="`auto`, `none`, or the names of the tools that may be used."),
    ] = "auto"
    on_busy: Annotated[
        Literal["refuse", "queue"],
        Field(description="If the conversation has a running turn: 409 at once, or wait for it."),
    ] = "refuse"


class TurnBody(RegenerateBody):
    """One turn; omitted fields default to the conversation's settings, then the gateway's."""

    message: Annotated[str, Field(min_length=1, max_length=1_000_000, description="The question.")]
    conversation_id: Annotated[str | None, Field(description="Omitted: a new conversation starts.")] = None
    parent_id: Annotated[
        str | None,
        Field(description="The parent message; default: the head. `root`: none, to edit the first question."),
    ] = None
    cache: Annotated[
        bool | None,
        Field(description="`false`: bypass the caches; `true`: use them even if `temperature` is omitted."),
    ] = None
    metadata: Metadata = Field(default_factory=dict)


def parse_turn(body: bytes, request_id: str, *, incremental: bool) -> Turn:
    """Parse a turn of a persisted conversation.

    Raises:
        ValidationFailed: the body is not valid.
        NotFound: an id is malformed.
    """
    parsed = parse_body(TurnBody, body)
    as_root = parsed.parent_id == ROOT
    return Turn(
        request_id=request_id,
        messages=(Message("user", parsed.message),),
        model=parsed.model,
        sampling=Sampling(temperature=parsed.temperature, max_tokens=parsed.max_tokens),
        conversation=ConversationTarget(
            id=parse_id(parsed.conversation_id) if parsed.conversation_id is not None else None,
            parent_id=None if parsed.parent_id is None or as_root else parse_id(parsed.parent_id),
            as_root=as_root,
            system=parsed.system,
            metadata=parsed.metadata,
            on_busy=parsed.on_busy,
        ),
        gateway_tools=_gateway_tools(parsed),
        use_cache=parsed.cache,
        stream=incremental,
    )


def parse_regenerate(message_id: str, body: bytes, request_id: str, *, incremental: bool) -> Turn:
    """Parse a request for another answer.

    `message_id` is the question or an answer to it.

    Raises:
        ValidationFailed: the body is not valid.
        NotFound: an id is malformed.
    """
    regenerate_of = parse_id(message_id)
    parsed = parse_body(RegenerateBody, body or b"{}")
    return Turn(
        request_id=request_id,
        messages=(),
        model=parsed.model,
        sampling=Sampling(temperature=parsed.temperature, max_tokens=parsed.max_tokens),
        conversation=ConversationTarget(
            regenerate_of=regenerate_of, system=parsed.system, on_busy=parsed.on_busy
        ),
        gateway_tools=_gateway_tools(parsed),
        use_cache=False,
        stream=incremental,
    )


def _gateway_tools(body: RegenerateBody) -> tuple[str, ...] | None:
    if isinstance(body.tools, list):
        return tuple(body.tools)
    return () if body.tools == "none" else None


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
