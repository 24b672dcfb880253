"""Encodes a response as OpenAI's named events with `sequence_number`s."""

from __future__ import annotations

import time
from collections import Counter
from typing import Any
from uuid import UUID

import orjson

from gateway.core.exceptions import GatewayError
from gateway.dialects.errors import render_error
from gateway.dialects.openai.client_tools import client_tools, custom_input
from gateway.dialects.openai.responses.input import call_fields
from gateway.dialects.openai.responses.output import (
    from_answer,
    raise_if_blocked,
    response_body,
    response_error,
)
from gateway.dialects.openai.responses.stream_item import CALL_KINDS, DELTA_EVENTS, ID_PREFIXES, StreamItem
from gateway.dialects.sse import frame
from gateway.domain.events import (
    Answer,
    ChatEvent,
    ReasoningDelta,
    RouteChosen,
    TextDelta,
    ToolCallDelta,
    TurnCompleted,
    TurnFailed,
    TurnStarted,
)
from gateway.domain.messages import ToolCall


class ResponsesEncoder:
    """Encodes nothing before the first output, so that early failures get an HTTP status.

    Args:
        id_: the response's id if nothing is stored.
        tools: whether tool calls are run by the client.
        include_encrypted: whether reasoning is also sent in the form that clients send back.
        created: start time of a response that was started before; default: now.
        model: the model of a response that was started before.
    """

    def __init__(
        self,
        id_: UUID,
        parameters: dict[str, Any],
        *,
        tools: bool,
        include_encrypted: bool = False,
        created: float | None = None,
        model: str = "",
    ) -> None:
        self._id = id_
        self._parameters = parameters
        self._tools = tools
        self._include_encrypted = include_encrypted
        self._client_tools = client_tools(parameters.get("tools") or ())
        self._created = time.time() if created is None else created
        self._model = model
        self._sequence_number = -1
        self._open_item: StreamItem | None = None
        self._calls: dict[int, StreamItem] = {}
        self._output: list[dict[str, Any]] = []
        self._counts: Counter[str] = Counter()

    def encode(self, event: ChatEvent) -> bytes | None:
        """See `StreamEncoder`."""
        match event:
            case TextDelta(text=text, logprobs=logprobs, refusal=refusal):
                return self._add_text("refusal" if refusal else "text", text, logprobs)
            case ReasoningDelta(text=text):
                return self._add_text("reasoning", text)
            case ToolCallDelta():
                return self._add_call(event) if self._tools else None
            case TurnStarted(message_id=message_id):
                self._id = UUID(message_id) if message_id is not None else self._id
            case RouteChosen(model=model):
                self._model = model
            case TurnCompleted(answer=answer):
                return self._completed(answer)
            case TurnFailed(error=error, request_id=request_id, answer=answer):
                return self._failed(error, request_id, answer)
        return None

    def _start(self) -> bytes:
        if self._sequence_number >= 0:
            return b""
        body = response_body(self._id, self._created, self._model, self._parameters, status="in_progress")
        return self._event("response.created", response=body) + self._event(
            "response.in_progress", response=body
        )

    def _add_text(self, kind: str, text: str, logprobs: tuple[dict[str, Any], ...] = ()) -> bytes:
        output = b""
        item = self._open_item
        if item is None or item.kind != kind:
            output = self._start() + self._close_open_item("completed")
            item = self._open_item = self._new_item(kind)
            output += self._item_added(item) + self._event(
                "response.content_part.added",
                item_id=item.id,
                output_index=item.index,
                content_index=0,
                part=item.part(""),
            )
        item.pieces.append(text)
        item.logprobs.extend(logprobs)
        return output + self._delta(item, text, logprobs)

    def _add_call(self, event: ToolCallDelta) -> bytes:
        output = b""
        item = self._calls.get(event.index)
        if item is None:
            output = self._start() + self._close_open_item("completed")
            name = event.name or ""
            tool = self._client_tools.by_model_name(name)
            kind = "custom" if tool is not None and tool.kind == "custom" else "call"
            item = self._new_item(kind, event.id or f"call_{event.index}", name)
            self._calls[event.index] = item
            output += self._item_added(item)
        if not event.arguments:
            return output
        item.pieces.append(event.arguments)
        if item.kind == "custom":  # JSON around the client's input; parsed at the end
            return output
        return output + self._delta(item, event.arguments)

    def _new_item(self, kind: str, call_id: str = "", name: str = "") -> StreamItem:
        index = len(self._output)
        counter = "call" if kind in CALL_KINDS else ID_PREFIXES[kind]
        number = f"{self._id.hex}_{self._counts[counter]}"
        self._counts[counter] += 1
        item = StreamItem(
            kind,
            number,
            index,
            self._client_tools,
            call_id=call_id,
            name=name,
            include_encrypted=self._include_encrypted,
        )
        location: dict[str, Any] = {"item_id": item.id, "output_index": index}
        if kind not in CALL_KINDS:
            location["content_index"] = 0
        item.delta_prefix = orjson.dumps({"type": DELTA_EVENTS[kind], **location})[:-1]
        self._output.append(item.body("in_progress", ""))
        return item

    def _item_added(self, item: StreamItem) -> bytes:
        return self._event(
            "response.output_item.added", output_index=item.index, item=self._output[item.index]
        )

    def _delta(self, item: StreamItem, text: str, logprobs: tuple[dict[str, Any], ...] = ()) -> bytes:
        """Encode a delta event; its constant part was encoded once."""
        self._sequence_number += 1
        extra = b""
        if item.kind == "text":
            extra = b',"logprobs":' + (orjson.dumps(logprobs) if logprobs else b"[]")
        data = (
            item.delta_prefix
            + b',"sequence_number":%d' % self._sequence_number
            + extra
            + b',"delta":'
            + orjson.dumps(text)
        )
        return b"event: " + DELTA_EVENTS[item.kind].encode() + b"\ndata: " + data + b"}\n\n"

    def _close_open_item(self, status: str) -> bytes:
        item, self._open_item = self._open_item, None
        if item is None:
            return b""
        location = {"item_id": item.id, "output_index": item.index, "content_index": 0}
        text = item.text
        name = {"text": "output_text", "refusal": "refusal", "reasoning": "reasoning_text"}[item.kind]
        text_fields: dict[str, Any] = {"refusal": text} if item.kind == "refusal" else {"text": text}
        if item.kind == "text":
            text_fields["logprobs"] = item.logprobs
        return (
            self._event(f"response.{name}.done", **location, **text_fields)
            + self._event("response.content_part.done", **location, part=item.part(text))
            + self._item_done(item, status, text)
        )

    def _close_calls(self, status: str) -> bytes:
        frames = b""
        for item in self._calls.values():
            frames += self._close_call(item, status)
        self._calls.clear()
        return frames

    def _close_call(self, item: StreamItem, status: str) -> bytes:
        text = item.text or "{}"
        location = {"item_id": item.id, "output_index": item.index}
        if item.kind == "custom":
            input_text = custom_input(text)
            output = self._delta(item, input_text) if input_text else b""
            output += self._event("response.custom_tool_call_input.done", **location, input=input_text)
        else:
            name = call_fields(ToolCall(item.call_id, item.name, text), self._client_tools)["name"]
            output = self._event(
                "response.function_call_arguments.done", **location, name=name, arguments=text
            )
        return output + self._item_done(item, status, text)

    def _item_done(self, item: StreamItem, status: str, text: str) -> bytes:
        body = self._output[item.index] = item.body(status, text)
        return self._event("response.output_item.done", output_index=item.index, item=body)

    def _completed(self, answer: Answer) -> bytes:
        output = b""
        if self._sequence_number < 0:
            raise_if_blocked(answer)
            self._model = answer.model
            output = self._start()
            if answer.content:  # withheld before any text was sent: the reason can be sent instead
                output += self._add_text("text", answer.content)
        body = from_answer(answer, self._id, self._parameters)
        status = "incomplete" if body["status"] == "incomplete" else "completed"
        output += self._close_open_item(status) + self._close_calls(status)
        # Items as they were streamed: reasoning between texts splits the text into more items.
        body |= {"output": self._output, "created_at": int(self._created)}
        name = "response.completed" if body["status"] == "completed" else "response.incomplete"
        return output + self._event(name, response=body)

    def finish(self, body: dict[str, Any]) -> bytes:
        """End a response that is stored as `body`, with its items as they were streamed."""
        status = "completed" if body["status"] == "completed" else "incomplete"
        output = self._start() + self._close_open_item(status) + self._close_calls(status)
        name = body["status"] if body["status"] in ("completed", "failed") else "incomplete"
        return output + self._event(f"response.{name}", response=body | {"output": self._output})

    def _failed(self, error: GatewayError, request_id: str, answer: Answer | None) -> bytes:
        """Encode `response.failed`, then an `error` that clients raise."""
        output = self._start() + self._close_open_item("incomplete") + self._close_calls("incomplete")
        body = response_body(
            self._id,
            self._created,
            self._model,
            self._parameters,
            status="failed",
            output=self._output,
            usage=answer.usage if answer is not None else None,
            error=response_error(error),
        )
        error_body = render_error(error, request_id)[2]["error"]
        fields = {
            "code": error_body["code"],
            "message": error_body["message"],
            "param": error_body["param"],
            "error": error_body,
        }
        return output + self._event("response.failed", response=body) + self._event("error", **fields)

    def _event(self, kind: str, /, **fields: Any) -> bytes:
        self._sequence_number += 1
        data = orjson.dumps({"type": kind, "sequence_number": self._sequence_number, **fields})
        return frame(data, event=kind)
