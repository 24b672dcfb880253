"""Reads OpenAI's answers, streamed or whole, into provider events; trusts nothing of their shape."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, cast

import orjson

from gateway.core.exceptions import GatewayError, UpstreamBroken
from gateway.domain.events import (
    Completed,
    FinishReason,
    MessageFields,
    ProviderEvent,
    ReasoningDelta,
    TextDelta,
    VendorResponse,
)
from gateway.domain.messages import VendorData
from gateway.domain.usage import Usage
from gateway.providers.chat.answered import answered
from gateway.providers.chat.finish import FAILED, finish_of
from gateway.providers.chat.openai_shapes import further_fields, is_error, logprobs_of, text_of
from gateway.providers.chat.refusals import error_in_stream
from gateway.providers.chat.sse import DONE, EventReader, WholeText, loads, whole_json, whole_text
from gateway.providers.chat.token_counts import TokenCounts
from gateway.providers.chat.tool_calls import ToolCallPieces
from gateway.providers.chat.vendor_data import joined

# The fields of a message that have a place of their own, or say nothing.
_READ = frozenset(
    {"role", "content", "refusal", "reasoning_content", "reasoning", "tool_calls", "function_call", "audio"}
)


_NONE: Mapping[str, Any] = {}
_CALL = frozenset({"id", "index", "type", "function"})
_FUNCTION = frozenset({"name", "arguments"})


class AnswerReader:
    """Turns bytes of one answer into events.

    Everything given to one `feed` is parsed at once, and neighbouring pieces of text become one
    `TextDelta`: the more is waiting, the less a token costs. `done` is True once the end marker came.
    """

    def __init__(self, vendor: VendorData | None = None) -> None:
        """`vendor` names who answers; what it wants back goes into a copy of it."""
        self.done = False
        self.broken: GatewayError | None = None
        self._stream = EventReader()
        self._finish: FinishReason | None = None
        self._counts = TokenCounts()
        self._counted = False
        self._events: list[ProviderEvent] = []
        self._text: list[str] = []
        self._logprobs: list[dict[str, Any]] = []
        self._refusing = False
        self._calls = ToolCallPieces()
        self._whole = False
        self._said, self._thought = WholeText(), WholeText()
        self._vendor = vendor or VendorData()
        self._back: dict[str, Any] = {}
        self._response: VendorResponse | None = None

    def feed(self, data: bytes) -> list[ProviderEvent]:
        """Parse the complete lines of `data`, bytes of a server-sent stream.

        Where they turn to garbage, to an error event or to a line beyond the limit, the events before it
        are returned and `broken` is set.
        """
        return self._read(self._stream.feed(data))

    def close(self) -> list[ProviderEvent]:
        """The events of a last line without a line break, once the stream has closed."""
        return self._read(self._stream.end())

    def end(self) -> list[ProviderEvent]:
        """What ends the answer, once the stream has closed or `done` is set; `Completed` last.

        Raises:
            UpstreamBroken: it closed before the vendor said why it stopped, or inside a line.
        """
        if self._finish is None or self._calls.unnamed or (self.broken is not None and not self.complete):
            raise UpstreamBroken
        self._text.append(self._said.rest())
        self._flush()
        self._events.extend(self._calls.finish())
        finish = self._finish
        if finish == "stop" and self._calls:
            finish = "tool_calls"  # several compatible servers say `stop` here
        # With the origin alone it says whose the further fields of the calls are.
        vendor = replace(self._vendor, fields=self._back) if self._back or self._calls.extra else None
        return [*self._take(), Completed(finish, self._counts.usage, vendor, self._response)]

    @property
    def counted(self) -> Usage | None:
        """The usage that has been told of so far."""
        return self._counts.usage

    @property
    def complete(self) -> bool:
        """Whether nothing more is needed: a cut now loses nothing."""
        return self.done or (self._finish is not None and self._counted)

    def whole(self, body: bytes) -> list[ProviderEvent]:
        """All events of an unstreamed answer, `Completed` last; raises UpstreamBroken for anything else."""
        try:
            answer = loads(body)
            if is_error(answer):
                raise error_in_stream(answer)
            self._read_usage(answer.get("usage"))
            choice = answer["choices"][0]
            if choice.get("error"):
                raise error_in_stream(choice)
            self._whole = True
            self._piece(choice["message"], choice.get("logprobs"))
            self._top_level(answer)
            self._read_finish(choice.get("finish_reason"))
        except (ValueError, TypeError, KeyError, IndexError, AttributeError) as error:
            raise UpstreamBroken from error
        return self.end()

    def _read(self, payloads: list[Any]) -> list[ProviderEvent]:
        try:
            for payload in payloads:
                if payload is DONE:
                    self.done = True
                elif not self.done:
                    self._chunk(payload)
        except GatewayError as error:
            self.broken = error
        except (ValueError, TypeError, KeyError, IndexError, AttributeError) as error:
            self.broken = UpstreamBroken()
            self.broken.__cause__ = error
        else:
            self.broken = self.broken or self._stream.broken
        return self._take()

    def _chunk(self, chunk: dict[str, Any]) -> None:
        choices = chunk.get("choices")
        if (not choices and is_error(chunk)) or chunk.get("error"):
            raise error_in_stream(chunk)
        usage = chunk.get("usage") or (chunk.get("x_groq") or _NONE).get("usage")
        if usage is not None:
            self._read_usage(usage)
        for choice in choices or ():
            if choice.get("index"):
                continue  # only one choice was asked for
            if choice.get("error"):  # OpenRouter's place for it
                raise error_in_stream(choice)
            delta = choice.get("delta")
            if delta:
                self._piece(delta, choice.get("logprobs"))
            finish = choice.get("finish_reason")
            if choice.get("usage"):  # Moonshot's place for it
                self._read_usage(choice["usage"])
            if finish is not None:
                self._read_finish(finish)
                self._top_level(chunk)

    def _top_level(self, answer: dict[str, Any]) -> None:
        """The answer's names, and sources that some servers name beside the choices."""
        self._response = answered(answer)
        if answer.get("citations"):
            self._fields({"citations": answer["citations"]})

    def _piece(self, delta: dict[str, Any], logprobs: Any) -> None:
        """One `delta` of a stream, or the `message` of a whole answer."""
        if len(delta) == 1 and not logprobs and type(content := delta.get("content")) is str:
            self._text.append(self._said.feed(content))  # most of a stream is nothing else
            return
        for field in ("reasoning_content", "reasoning"):
            thought = delta.get(field)
            if thought:
                self._reasoning(field, self._thought.feed(text_of(thought)))
                break
            if thought == "" and not self._back:
                self._back[field] = ""  # some vendors want the field back even where it is empty
        content = delta.get("content")
        if not content and (content := delta.get("refusal")) and not self._refusing:
            self._flush()
            self._refusing = True
        if content:
            self._content(content)
        if logprobs:
            self._logprobs.extend(logprobs_of(logprobs))
        self._tool_calls(delta)
        if not _READ.issuperset(delta):
            self._fields(
                {name: whole_json(value) for name, value in delta.items() if name not in _READ and value}
            )

    def _content(self, content: Any) -> None:
        """Text, or a list of parts; Mistral's thoughts are parts among them, and not given back."""
        if type(content) is str:
            self._text.append(self._said.feed(content))
            return
        for part in content if type(content) is list else [content]:
            if type(part) is dict and part.get("type") == "thinking":
                self._think(self._thought.feed(text_of(part.get("thinking"))))
            else:
                self._text.append(self._said.feed(text_of(part)))

    def _think(self, text: str) -> None:
        if text:
            self._flush()
            self._events.append(ReasoningDelta(text))

    def _reasoning(self, field: str, text: str) -> None:
        self._think(text)
        if text:
            self._back[field] = self._back.get(field, "") + text

    def _fields(self, fields: dict[str, Any]) -> None:
        """Fields of the message that are the vendor's own: for the client, and to be given back."""
        if not fields:
            return
        self._flush()
        self._events.append(MessageFields(fields))
        for name, value in fields.items():
            self._back[name] = joined(self._back.get(name), value)

    def _tool_calls(self, delta: dict[str, Any]) -> None:
        calls = delta.get("tool_calls") or ()
        if type(calls) is dict:
            calls = [calls]
        if not calls and (function := delta.get("function_call")):
            calls = [{"index": 0, "function": function}]  # servers that know OpenAI's older API
        nameless = all(call.get("index") is None and not call.get("id") for call in calls if call)
        for at, call in enumerate(calls):
            if call:
                # Pieces of several calls without index and id are in the order of the calls.
                self._tool_call(call, ("at", at) if nameless and len(calls) > 1 else call.get("index"))

    def _tool_call(self, call: dict[str, Any], key: Any) -> None:
        function = call.get("function") or {}
        name, arguments = function.get("name"), function.get("arguments")
        if arguments is None or (arguments == {} and not self._whole):
            arguments = ""
        elif type(arguments) is not str:
            arguments = orjson.dumps(whole_json(arguments)).decode()
        call_id = call.get("id")
        call_id = str(call_id) if type(call_id) is int else call_id
        if not isinstance(name, str | None) or not isinstance(call_id, str | None):
            raise UpstreamBroken
        extra = further_fields(call, _CALL)
        if inner := further_fields(function, _FUNCTION):
            extra["function"] = inner
        pieces = self._calls.piece(key, call_id, name, whole_text(arguments), extra, whole=self._whole)
        if pieces:
            self._flush()
            self._events.extend(pieces)

    def _read_finish(self, finish: Any) -> None:
        if finish is None or finish is False:
            return
        if type(finish) is not str:
            raise UpstreamBroken
        word = finish_of(finish)
        if word == FAILED:
            raise UpstreamBroken
        self._finish = cast("FinishReason | None", word) or self._finish

    def _read_usage(self, usage: Any) -> None:
        if usage:
            self._counted = True
            self._counts.openai(usage)

    def _flush(self) -> None:
        """Close the run of text pieces into one event."""
        if self._text or self._logprobs:
            text = "".join(self._text)
            if text or self._logprobs:
                self._events.append(TextDelta(text, tuple(self._logprobs), self._refusing))
            self._text.clear()
            self._logprobs.clear()

    def _take(self) -> list[ProviderEvent]:
        self._flush()
        events, self._events = self._events, []
        return events
