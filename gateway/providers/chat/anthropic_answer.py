"""Reads Anthropic's answers, streamed or whole, into provider events; trusts nothing of their shape."""

from __future__ import annotations

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
from gateway.providers.chat.refusals import error_in_stream
from gateway.providers.chat.sse import DONE, EventReader, WholeText, loads, whole_json, whole_text
from gateway.providers.chat.token_counts import TokenCounts
from gateway.providers.chat.tool_calls import ToolCallPieces

_THOUGHTS = frozenset({"thinking", "redacted_thinking"})
_PLAIN = frozenset({"text", "tool_use"})
_SHAPES = (ValueError, TypeError, KeyError, IndexError, AttributeError)


class AnthropicReader:
    """Turns bytes of one answer into events; `done` is True once `message_stop` came."""

    def __init__(self, vendor: VendorData) -> None:
        """`vendor` names who answers; what it wants back goes into a copy of it."""
        self.done = False
        self.broken: GatewayError | None = None
        self._vendor = vendor
        self._stream = EventReader()
        self._blocks: dict[int, dict[str, Any]] = {}
        self._inputs: dict[int, list[str]] = {}
        self._said, self._thought = WholeText(), WholeText()
        self._calls = ToolCallPieces()
        self._counts = TokenCounts()
        self._finish: FinishReason | None = None
        self._events: list[ProviderEvent] = []
        self._response: VendorResponse | None = None

    def feed(self, data: bytes) -> list[ProviderEvent]:
        """Parse the complete lines of `data`; what came before garbage, with `broken` set."""
        return self._read(self._stream.feed(data))

    def close(self) -> list[ProviderEvent]:
        """The events of a last line without a line break, once the stream has closed."""
        return self._read(self._stream.end())

    def whole(self, body: bytes) -> list[ProviderEvent]:
        """All events of an unstreamed answer, `Completed` last; raises UpstreamBroken for anything else."""
        try:
            answer = loads(body)
            if answer["type"] == "error":
                raise error_in_stream(answer)
            if answer["type"] != "message" or not isinstance(answer["content"], list):
                raise UpstreamBroken
            for index, block in enumerate(answer["content"]):
                self._start(index, block, whole=True)
                self._stop(index)
            self._counts.anthropic(answer.get("usage"))
            self._response = answered(answer)
            self._ended(answer["stop_reason"])
        except _SHAPES as error:
            raise UpstreamBroken from error
        self.done = True
        return self.end()

    def end(self) -> list[ProviderEvent]:
        """What ends the answer, `Completed` last.

        Raises:
            UpstreamBroken: it closed before its end marker, or the vendor did not say why it stopped.
        """
        if not self.done or self._finish is None or self._calls.unnamed:
            raise UpstreamBroken
        if half := self._said.rest():
            self._events.append(TextDelta(half))
        self._events.extend(self._calls.finish())
        finish = "tool_calls" if self._finish == "stop" and len(self._calls) else self._finish
        done = Completed(finish, self._counts.usage, self._wanted_back(), self._response)
        return [*self._take(), done]

    @property
    def counted(self) -> Usage | None:
        """The usage that has been told of so far."""
        return self._counts.usage

    @property
    def complete(self) -> bool:
        """Whether nothing more is needed: a cut now loses nothing."""
        return self.done

    def _read(self, payloads: list[Any]) -> list[ProviderEvent]:
        try:
            for payload in payloads:
                if not self.done:
                    self._event(payload)
        except GatewayError as error:
            self.broken = error
        except _SHAPES as error:
            self.broken = UpstreamBroken()
            self.broken.__cause__ = error
        else:
            self.broken = self.broken or self._stream.broken
        return self._take()

    def _event(self, event: Any) -> None:
        if event is DONE:
            # Proxies end every stream with it, some in place of the vendor's own marker.
            self.done = self._finish is not None
            return
        match event.get("type"):
            case "message_start":
                message = event.get("message") or {}
                self._counts.anthropic(message.get("usage"))
                self._response = answered(message)
            case "content_block_start":
                self._start(event["index"], event["content_block"])
            case "content_block_delta":
                self._delta(event["index"], event["delta"])
            case "content_block_stop":
                self._stop(event["index"])
            case "message_delta":
                self._counts.anthropic(event.get("usage"))
                self._ended((event.get("delta") or {}).get("stop_reason"))
            case "message_stop":
                self.done = True
            case "error":
                raise error_in_stream(event)

    def _start(self, index: int, block: dict[str, Any], *, whole: bool = False) -> None:
        kind = block["type"]
        block = self._blocks[index] = dict(block)
        if kind == "text":
            block["text"] = block["text"] if whole else block.get("text") or ""
            self._text(block["text"])
        elif kind == "thinking":
            block["thinking"] = block.get("thinking") or ""
            self._think(block["thinking"])
        if "input" in block or kind == "tool_use":
            block["input"] = block.get("input") or {}
            self._inputs[index] = []
        if kind == "tool_use":
            given = block["input"]
            arguments = orjson.dumps(whole_json(given)).decode() if given else ""
            self._call(index, block["id"], block["name"], arguments, whole=whole)

    def _delta(self, index: int, delta: dict[str, Any]) -> None:
        block = self._blocks[index]
        match delta["type"]:
            case "text_delta":
                block["text"] += delta["text"]
                self._text(delta["text"])
            case "thinking_delta":
                block["thinking"] += delta["thinking"]
                self._think(delta["thinking"])
            case "signature_delta":
                block["signature"] = block.get("signature", "") + delta["signature"]
            case "citations_delta":
                block["citations"] = [*(block.get("citations") or ()), delta["citation"]]
            case "input_json_delta" if index in self._inputs:
                if block["input"]:
                    return  # it came whole at its start
                self._inputs[index].append(delta["partial_json"])
                if block["type"] == "tool_use":
                    self._call(index, None, None, delta["partial_json"])

    def _stop(self, index: int) -> None:
        block = self._blocks[index]
        block = self._blocks[index] = whole_json(block)
        if block["type"] in _THOUGHTS:
            self._events.append(MessageFields({"thinking_blocks": [block]}))
        elif self._inputs.get(index) and not block["input"]:
            try:
                block["input"] = orjson.loads("".join(self._inputs[index]) or "{}")
            except orjson.JSONDecodeError:
                block["input"] = None  # cut by the limit of tokens; such a message is not sent back as it is

    def _text(self, text: str) -> None:
        if text := self._said.feed(text):
            self._events.append(TextDelta(text))

    def _think(self, text: str) -> None:
        if text := self._thought.feed(text):
            self._events.append(ReasoningDelta(text))

    def _call(
        self, index: int, call_id: str | None, name: str | None, arguments: str, *, whole: bool = False
    ) -> None:
        if not isinstance(call_id, str | None) or not isinstance(name, str | None):
            raise UpstreamBroken
        self._events.extend(self._calls.piece(index, call_id, name, whole_text(arguments), whole=whole))

    def _ended(self, word: str | None) -> None:
        finish = finish_of(word)
        if finish == FAILED:
            raise UpstreamBroken
        self._finish = cast("FinishReason | None", finish) or self._finish

    def _wanted_back(self) -> VendorData | None:
        blocks = [self._blocks[index] for index in sorted(self._blocks)]
        if all(block["type"] in _PLAIN for block in blocks):
            return None
        thoughts = [block for block in blocks if block["type"] in _THOUGHTS]
        whole = all(block.get("input", {}) is not None for block in blocks)
        content = [block for block in blocks if block.get("text") != ""] if whole else None
        return replace(
            self._vendor, fields={"thinking_blocks": thoughts} if thoughts else {}, content=content
        )

    def _take(self) -> list[ProviderEvent]:
        events, self._events = self._events, []
        return events
