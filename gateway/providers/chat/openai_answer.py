"""Reads OpenAI's answers, streamed or whole, into provider events; trusts nothing of their shape."""

from __future__ import annotations

from typing import Any

import orjson

from gateway.core.exceptions import GatewayError, UpstreamBroken
from gateway.domain.events import (
    Completed,
    FinishReason,
    ProviderEvent,
    ReasoningDelta,
    TextDelta,
)
from gateway.providers.chat.refusals import error_in_stream
from gateway.providers.chat.token_counts import TokenCounts
from gateway.providers.chat.tool_calls import ToolCallPieces
from gateway.providers.chat.wire import MAX_LINE

_FINISH: dict[str, FinishReason] = {
    "stop": "stop",
    "length": "length",
    "max_tokens": "length",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "content_filter",
}
# Servers that end a stream politely after they failed.
_FAILED = frozenset({"error", "abort", "cancelled"})
_FIELDS = (b":", b"event:", b"id:", b"retry:")


class AnswerReader:
    """Turns bytes of one answer into events.

    Everything given to one `feed` is parsed at once, and neighbouring pieces of text become one
    `TextDelta`: the more is waiting, the less a token costs. `done` is True once the end marker came.
    """

    def __init__(self) -> None:
        self.done = False
        self.broken: GatewayError | None = None
        self._tail = b""
        self._finish: str | None = None
        self._counts = TokenCounts()
        self._counted = False
        self._events: list[ProviderEvent] = []
        self._text: list[str] = []
        self._logprobs: list[dict[str, Any]] = []
        self._refusing = False
        self._calls = ToolCallPieces()

    def feed(self, data: bytes) -> list[ProviderEvent]:
        """Parse the complete lines of `data`, bytes of a server-sent stream.

        Where they turn to garbage, to an error event or to a line beyond the limit, the events before it
        are returned and `broken` is set.
        """
        if self._tail:
            data = self._tail + data
        lines = data.split(b"\n")
        self._tail = lines.pop()
        try:
            for line in lines:
                if line.startswith(b"data:"):
                    self._data(line)
                elif line and line != b"\r" and not line.startswith(_FIELDS):
                    raise UpstreamBroken
            if len(self._tail) > MAX_LINE:
                raise UpstreamBroken
        except GatewayError as error:
            self.broken = error
        except (ValueError, TypeError, KeyError, IndexError, AttributeError) as error:
            self.broken = UpstreamBroken()
            self.broken.__cause__ = error
        return self._take()

    def end(self) -> Completed:
        """The end of the answer, once the stream has closed or `done` is set.

        Raises:
            UpstreamBroken: it closed before the vendor said why it stopped, or inside a line.
        """
        if self._finish is None or self._calls.unnamed or (self._tail.strip() and not self.done):
            raise UpstreamBroken
        finish = _FINISH.get(self._finish, "stop")
        if finish == "stop" and self._calls:
            finish = "tool_calls"  # several compatible servers say `stop` here
        return Completed(finish, self._counts.usage)

    @property
    def complete(self) -> bool:
        """Whether nothing more is needed: a cut now loses nothing."""
        return self.done or (self._finish is not None and self._counted)

    def whole(self, body: bytes) -> list[ProviderEvent]:
        """All events of an unstreamed answer, `Completed` last; raises UpstreamBroken for anything else."""
        try:
            answer = orjson.loads(body)
            if answer.get("error"):
                raise error_in_stream(answer)
            choice = answer["choices"][0]
            message = choice["message"]
            self._piece(message, choice.get("logprobs"))
            self._read_finish(choice.get("finish_reason"))
            self._read_usage(answer.get("usage"))
        except (ValueError, TypeError, KeyError, IndexError, AttributeError) as error:
            raise UpstreamBroken from error
        return [*self._take(), self.end()]

    def _data(self, line: bytes) -> None:
        payload = line[5:].strip()
        if not payload or self.done:
            return
        if payload == b"[DONE]":
            self.done = True
            return
        chunk = orjson.loads(payload)
        if chunk.get("error"):
            raise error_in_stream(chunk)
        usage = chunk.get("usage")
        if usage is not None:
            self._read_usage(usage)
        for choice in chunk.get("choices") or ():
            if choice.get("index"):
                continue  # only one choice was asked for
            delta = choice.get("delta")
            if delta:
                self._piece(delta, choice.get("logprobs"))
            finish = choice.get("finish_reason")
            if finish is not None:
                self._read_finish(finish)
                self._read_usage(choice.get("usage"))  # Moonshot's place for it

    def _piece(self, delta: dict[str, Any], logprobs: Any) -> None:
        """One `delta` of a stream, or the `message` of a whole answer."""
        reasoning = delta.get("reasoning_content") or delta.get("reasoning")
        if reasoning:
            self._flush()
            self._events.append(ReasoningDelta(_text(reasoning)))
        content = delta.get("content")
        if not content and (content := delta.get("refusal")) and not self._refusing:
            self._flush()
            self._refusing = True
        if content:
            self._text.append(content if type(content) is str else _text(content))
        if logprobs:
            entries = logprobs.get("content") or logprobs.get("refusal") or ()
            if not all(type(entry) is dict for entry in entries):
                raise UpstreamBroken
            self._logprobs.extend(entries)
        for call in delta.get("tool_calls") or ():
            self._tool_call(call)

    def _tool_call(self, call: dict[str, Any]) -> None:
        function = call.get("function") or {}
        name, arguments = function.get("name"), function.get("arguments")
        if arguments is None:
            arguments = ""
        elif type(arguments) is not str:
            arguments = orjson.dumps(arguments).decode()
        call_id = call.get("id")
        if not isinstance(name, str | None) or not isinstance(call_id, str | None):
            raise UpstreamBroken
        piece = self._calls.piece(call.get("index"), call_id, name, arguments)
        if piece is not None:
            self._flush()
            self._events.append(piece)

    def _read_finish(self, finish: Any) -> None:
        if type(finish) is not str or finish in _FAILED:
            raise UpstreamBroken
        self._finish = finish

    def _read_usage(self, usage: Any) -> None:
        if usage:
            self._counted = True
            self._counts.openai(usage)

    def _flush(self) -> None:
        """Close the run of text pieces into one event."""
        if self._text or self._logprobs:
            self._events.append(TextDelta("".join(self._text), tuple(self._logprobs), self._refusing))
            self._text.clear()
            self._logprobs.clear()

    def _take(self) -> list[ProviderEvent]:
        self._flush()
        events, self._events = self._events, []
        return events


def _text(content: Any) -> str:
    """Text given as a string or as a list of parts; anything else is garbage."""
    if type(content) is str:
        return content
    if type(content) is list:
        return "".join(part["text"] for part in content if part.get("type") == "text")
    raise UpstreamBroken
