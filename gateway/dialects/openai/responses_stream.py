"""A response as OpenAI's named events, each with its `sequence_number`."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import orjson

from gateway.core.exceptions import GatewayError
from gateway.dialects.errors import render_error
from gateway.dialects.openai.client_tools import ClientTools, client_tools, custom_input
from gateway.dialects.openai.responses import (
    answered,
    call_item,
    error_of,
    message_item,
    reasoning_item,
    refuse_blocked,
    response_body,
    text_part,
)
from gateway.dialects.openai.responses_input import call_fields
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

_PREFIX = {"text": "msg", "refusal": "msg", "reasoning": "rs", "call": "fc", "custom": "ctc"}
_DELTA = {
    "text": "response.output_text.delta",
    "refusal": "response.refusal.delta",
    "reasoning": "response.reasoning_text.delta",
    "call": "response.function_call_arguments.delta",
    "custom": "response.custom_tool_call_input.delta",
}
_CALLS = ("call", "custom")


@dataclass(slots=True)
class _Item:
    """An item of the output while it is being said; `call_id` and `name` of a call alone.

    `number` is what follows the kind in the item's id.
    """

    kind: str
    number: str
    index: int
    tools: ClientTools
    said: list[str] = field(default_factory=list)
    logprobs: list[dict[str, Any]] = field(default_factory=list)
    call_id: str = ""
    name: str = ""
    before: bytes = b""
    sealed: bool = False

    @property
    def id(self) -> str:
        return f"{_PREFIX[self.kind]}_{self.number}"

    @property
    def text(self) -> str:
        return "".join(self.said)

    def part(self, text: str) -> dict[str, Any]:
        if self.kind == "reasoning":
            return {"type": "reasoning_text", "text": text}
        return text_part(text, self.kind == "refusal", self.logprobs if text else ())

    def body(self, status: str, text: str) -> dict[str, Any]:
        if self.kind in _CALLS:
            return call_item(self.number, ToolCall(self.call_id, self.name, text), status, self.tools)
        if self.kind == "reasoning":
            return reasoning_item(self.id, text, status, self.sealed)
        return message_item(self.id, [self.part(text)] if text else [], status)


class ResponsesEncoder:
    """Nothing is encoded before the answer's first word, so that what fails earlier has a true status.

    `id_` is the response's where nothing is stored; `tools`: whether calls are the client's to run;
    `sealed`: whether thoughts are also told in the form in which clients send them back.
    `created` (now, if omitted) and `model` are of a response that was begun before.
    """

    def __init__(
        self,
        id_: UUID,
        parameters: dict[str, Any],
        *,
        tools: bool,
        sealed: bool = False,
        created: float | None = None,
        model: str = "",
    ) -> None:
        self._id = id_
        self._parameters = parameters
        self._tools = tools
        self._sealed = sealed
        self._declared = client_tools(parameters.get("tools") or ())
        self._created = time.time() if created is None else created
        self._model = model
        self._number = -1
        self._speaking: _Item | None = None
        self._calls: dict[int, _Item] = {}
        self._output: list[dict[str, Any]] = []
        self._counts: Counter[str] = Counter()

    def encode(self, event: ChatEvent) -> bytes | None:
        """See `StreamEncoder`."""
        match event:
            case TextDelta(text=text, logprobs=logprobs, refusal=refusal):
                return self._say("refusal" if refusal else "text", text, logprobs)
            case ReasoningDelta(text=text):
                return self._say("reasoning", text)
            case ToolCallDelta():
                return self._call(event) if self._tools else None
            case TurnStarted(message_id=message_id):
                self._id = UUID(message_id) if message_id is not None else self._id
            case RouteChosen(model=model):
                self._model = model
            case TurnCompleted(answer=answer):
                return self._completed(answer)
            case TurnFailed(error=error, request_id=request_id, answer=answer):
                return self._failed(error, request_id, answer)
        return None

    def _begin(self) -> bytes:
        if self._number >= 0:
            return b""
        body = response_body(self._id, self._created, self._model, self._parameters, status="in_progress")
        return self._event("response.created", response=body) + self._event(
            "response.in_progress", response=body
        )

    def _say(self, kind: str, text: str, logprobs: tuple[dict[str, Any], ...] = ()) -> bytes:
        lead = b""
        item = self._speaking
        if item is None or item.kind != kind:
            lead = self._begin() + self._end_speaking("completed")
            item = self._speaking = self._item(kind)
            lead += self._added(item) + self._event(
                "response.content_part.added",
                item_id=item.id,
                output_index=item.index,
                content_index=0,
                part=item.part(""),
            )
        item.said.append(text)
        item.logprobs.extend(logprobs)
        return lead + self._delta(item, text, logprobs)

    def _call(self, event: ToolCallDelta) -> bytes:
        lead = b""
        item = self._calls.get(event.index)
        if item is None:
            lead = self._begin() + self._end_speaking("completed")
            name = event.name or ""
            tool = self._declared.called(name)
            kind = "custom" if tool is not None and tool.kind == "custom" else "call"
            item = self._item(kind, event.id or f"call_{event.index}", name)
            self._calls[event.index] = item
            lead += self._added(item)
        if not event.arguments:
            return lead
        item.said.append(event.arguments)
        if item.kind == "custom":  # JSON around the input that its client asked for; read at the end
            return lead
        return lead + self._delta(item, event.arguments)

    def _item(self, kind: str, call_id: str = "", name: str = "") -> _Item:
        index = len(self._output)
        counted = "call" if kind in _CALLS else _PREFIX[kind]
        number = f"{self._id.hex}_{self._counts[counted]}"
        self._counts[counted] += 1
        item = _Item(kind, number, index, self._declared, call_id=call_id, name=name, sealed=self._sealed)
        place: dict[str, Any] = {"item_id": item.id, "output_index": index}
        if kind not in _CALLS:
            place["content_index"] = 0
        item.before = orjson.dumps({"type": _DELTA[kind], **place})[:-1]
        self._output.append(item.body("in_progress", ""))
        return item

    def _added(self, item: _Item) -> bytes:
        return self._event(
            "response.output_item.added", output_index=item.index, item=self._output[item.index]
        )

    def _delta(self, item: _Item, text: str, logprobs: tuple[dict[str, Any], ...] = ()) -> bytes:
        """The event of every word: all of it that never changes was written once."""
        self._number += 1
        more = b""
        if item.kind == "text":
            more = b',"logprobs":' + (orjson.dumps(logprobs) if logprobs else b"[]")
        data = (
            item.before + b',"sequence_number":%d' % self._number + more + b',"delta":' + orjson.dumps(text)
        )
        return b"event: " + _DELTA[item.kind].encode() + b"\ndata: " + data + b"}\n\n"

    def _end_speaking(self, status: str) -> bytes:
        item, self._speaking = self._speaking, None
        if item is None:
            return b""
        place = {"item_id": item.id, "output_index": item.index, "content_index": 0}
        text = item.text
        name = {"text": "output_text", "refusal": "refusal", "reasoning": "reasoning_text"}[item.kind]
        said: dict[str, Any] = {"refusal": text} if item.kind == "refusal" else {"text": text}
        if item.kind == "text":
            said["logprobs"] = item.logprobs
        return (
            self._event(f"response.{name}.done", **place, **said)
            + self._event("response.content_part.done", **place, part=item.part(text))
            + self._done(item, status, text)
        )

    def _end_calls(self, status: str) -> bytes:
        frames = b""
        for item in self._calls.values():
            frames += self._end_call(item, status)
        self._calls.clear()
        return frames

    def _end_call(self, item: _Item, status: str) -> bytes:
        text = item.text or "{}"
        place = {"item_id": item.id, "output_index": item.index}
        if item.kind == "custom":
            given = custom_input(text)
            lead = self._delta(item, given) if given else b""
            lead += self._event("response.custom_tool_call_input.done", **place, input=given)
        else:
            name = call_fields(ToolCall(item.call_id, item.name, text), self._declared)["name"]
            lead = self._event("response.function_call_arguments.done", **place, name=name, arguments=text)
        return lead + self._done(item, status, text)

    def _done(self, item: _Item, status: str, text: str) -> bytes:
        body = self._output[item.index] = item.body(status, text)
        return self._event("response.output_item.done", output_index=item.index, item=body)

    def _completed(self, answer: Answer) -> bytes:
        lead = b""
        if self._number < 0:
            refuse_blocked(answer)
            self._model = answer.model
            lead = self._begin()
            if answer.content:  # withheld before a word of it had left: there is room for the reason
                lead += self._say("text", answer.content)
        body = answered(answer, self._id, self._parameters)
        status = "incomplete" if body["status"] == "incomplete" else "completed"
        lead += self._end_speaking(status) + self._end_calls(status)
        # The items as they were told, which a model that thinks in between tells in more pieces.
        body |= {"output": self._output, "created_at": int(self._created)}
        name = "response.completed" if body["status"] == "completed" else "response.incomplete"
        return lead + self._event(name, response=body)

    def finish(self, body: dict[str, Any]) -> bytes:
        """The end of a response that is stored as `body`, with its items as they were told."""
        status = "completed" if body["status"] == "completed" else "incomplete"
        lead = self._begin() + self._end_speaking(status) + self._end_calls(status)
        name = body["status"] if body["status"] in ("completed", "failed") else "incomplete"
        return lead + self._event(f"response.{name}", response=body | {"output": self._output})

    def _failed(self, error: GatewayError, request_id: str, answer: Answer | None) -> bytes:
        """`response.failed` for who follows the response, then an `error` that clients raise."""
        lead = self._begin() + self._end_speaking("incomplete") + self._end_calls("incomplete")
        body = response_body(
            self._id,
            self._created,
            self._model,
            self._parameters,
            status="failed",
            output=self._output,
            usage=answer.usage if answer is not None else None,
            error=error_of(error),
        )
        told = render_error(error, request_id)[2]["error"]
        shown = {"code": told["code"], "message": told["message"], "param": told["param"], "error": told}
        return lead + self._event("response.failed", response=body) + self._event("error", **shown)

    def _event(self, kind: str, /, **fields: Any) -> bytes:
        self._number += 1
        data = orjson.dumps({"type": kind, "sequence_number": self._number, **fields})
        return frame(data, event=kind)
