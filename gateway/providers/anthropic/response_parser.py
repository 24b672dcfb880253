"""Parses Anthropic's responses, streamed or not, into provider events.

Their shape is not trusted.
"""

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
from gateway.domain.money import Usage
from gateway.providers.errors.classifier import classify_stream_error
from gateway.providers.finish_reason import FAILED, parse_finish_reason
from gateway.providers.http.stream_decoders import (
    DONE,
    SSEDecoder,
    SurrogateJoiner,
    parse_event_json,
    repair_json_surrogates,
    repair_surrogates,
)
from gateway.providers.response_ids import parse_vendor_response
from gateway.providers.token_counts import TokenCounts
from gateway.providers.tool_call_assembler import ToolCallAssembler

_THINKING_BLOCKS = frozenset({"thinking", "redacted_thinking"})
_PLAIN_BLOCKS = frozenset({"text", "tool_use"})
_MALFORMED = (ValueError, TypeError, KeyError, IndexError, AttributeError)


class AnthropicResponseParser:
    """Turns the bytes of one response into events.

    `done` is True after `message_stop`.
    """

    def __init__(self, origin: VendorData) -> None:
        """Prepare to parse one response.

        Args:
            origin: identifies the upstream. The `VendorData` of the answer is a copy of it.
        """
        self.done = False
        self.error: GatewayError | None = None
        self._origin = origin
        self._decoder = SSEDecoder()
        self._blocks: dict[int, dict[str, Any]] = {}
        self._input_parts: dict[int, list[str]] = {}
        self._text_joiner, self._reasoning_joiner = SurrogateJoiner(), SurrogateJoiner()
        self._tool_calls = ToolCallAssembler()
        self._token_counts = TokenCounts()
        self._finish_reason: FinishReason | None = None
        self._events: list[ProviderEvent] = []
        self._vendor_response: VendorResponse | None = None

    def feed(self, data: bytes) -> list[ProviderEvent]:
        """Parse the complete lines of `data`.

        On malformed input, return the events before it and set `error`.
        """
        return self._handle_payloads(self._decoder.feed(data))

    def feed_eof(self) -> list[ProviderEvent]:
        """Return the events of an unterminated last line, after the stream has closed."""
        return self._handle_payloads(self._decoder.feed_eof())

    def parse_body(self, body: bytes) -> list[ProviderEvent]:
        """Return all events of a response that was not streamed, `Completed` last.

        Raises:
            UpstreamBroken: it is not a finished answer.
        """
        try:
            answer = parse_event_json(body)
            if answer["type"] == "error":
                raise classify_stream_error(answer)
            if answer["type"] != "message" or not isinstance(answer["content"], list):
                raise UpstreamBroken
            for index, block in enumerate(answer["content"]):
                self._start_block(index, block, whole=True)
                self._stop_block(index)
            self._token_counts.read_anthropic(answer.get("usage"))
            self._vendor_response = parse_vendor_response(answer)
            self._set_finish_reason(answer["stop_reason"])
        except _MALFORMED as error:
            raise UpstreamBroken from error
        self.done = True
        return self.finish()

    def finish(self) -> list[ProviderEvent]:
        """Return the last events of the answer, ending with `Completed`.

        Raises:
            UpstreamBroken: the stream closed before its end marker, or there was no finish reason.
        """
        if not self.done or self._finish_reason is None or self._tool_calls.has_unnamed_call:
            raise UpstreamBroken
        if remainder := self._text_joiner.flush():
            self._events.append(TextDelta(remainder))
        self._events.extend(self._tool_calls.finish())
        finish = (
            "tool_calls" if self._finish_reason == "stop" and len(self._tool_calls) else self._finish_reason
        )
        done = Completed(finish, self._token_counts.usage, self._vendor_data(), self._vendor_response)
        return [*self._drain_events(), done]

    @property
    def usage(self) -> Usage | None:
        """The usage reported so far."""
        return self._token_counts.usage

    @property
    def is_complete(self) -> bool:
        """Whether the answer is complete, so that a connection lost now loses nothing."""
        return self.done

    def _handle_payloads(self, payloads: list[Any]) -> list[ProviderEvent]:
        try:
            for payload in payloads:
                if not self.done:
                    self._handle_event(payload)
        except GatewayError as error:
            self.error = error
        except _MALFORMED as error:
            self.error = UpstreamBroken()
            self.error.__cause__ = error
        else:
            self.error = self.error or self._decoder.error
        return self._drain_events()

    def _handle_event(self, event: Any) -> None:
        if event is DONE:
            # Proxies end every stream with `[DONE]`, some of them instead of the vendor's own marker.
            self.done = self._finish_reason is not None
            return
        match event.get("type"):
            case "message_start":
                message = event.get("message") or {}
                self._token_counts.read_anthropic(message.get("usage"))
                self._vendor_response = parse_vendor_response(message)
            case "content_block_start":
                self._start_block(event["index"], event["content_block"])
            case "content_block_delta":
                self._handle_delta(event["index"], event["delta"])
            case "content_block_stop":
                self._stop_block(event["index"])
            case "message_delta":
                self._token_counts.read_anthropic(event.get("usage"))
                self._set_finish_reason((event.get("delta") or {}).get("stop_reason"))
            case "message_stop":
                self.done = True
            case "error":
                raise classify_stream_error(event)

    def _start_block(self, index: int, block: dict[str, Any], *, whole: bool = False) -> None:
        kind = block["type"]
        block = self._blocks[index] = dict(block)
        if kind == "text":
            block["text"] = block["text"] if whole else block.get("text") or ""
            self._emit_text(block["text"])
        elif kind == "thinking":
            block["thinking"] = block.get("thinking") or ""
            self._emit_reasoning(block["thinking"])
        if "input" in block or kind == "tool_use":
            block["input"] = block.get("input") or {}
            self._input_parts[index] = []
        if kind == "tool_use":
            tool_input = block["input"]
            arguments = orjson.dumps(repair_json_surrogates(tool_input)).decode() if tool_input else ""
            self._emit_tool_call(index, block["id"], block["name"], arguments, whole=whole)

    def _handle_delta(self, index: int, delta: dict[str, Any]) -> None:
        block = self._blocks[index]
        match delta["type"]:
            case "text_delta":
                block["text"] += delta["text"]
                self._emit_text(delta["text"])
            case "thinking_delta":
                block["thinking"] += delta["thinking"]
                self._emit_reasoning(delta["thinking"])
            case "signature_delta":
                block["signature"] = block.get("signature", "") + delta["signature"]
            case "citations_delta":
                block["citations"] = [*(block.get("citations") or ()), delta["citation"]]
            case "input_json_delta" if index in self._input_parts:
                if block["input"]:
                    return  # the start event had the complete input
                self._input_parts[index].append(delta["partial_json"])
                if block["type"] == "tool_use":
                    self._emit_tool_call(index, None, None, delta["partial_json"])

    def _stop_block(self, index: int) -> None:
        block = self._blocks[index]
        block = self._blocks[index] = repair_json_surrogates(block)
        if block["type"] in _THINKING_BLOCKS:
            self._events.append(MessageFields({"thinking_blocks": [block]}))
        elif self._input_parts.get(index) and not block["input"]:
            try:
                block["input"] = orjson.loads("".join(self._input_parts[index]) or "{}")
            except orjson.JSONDecodeError:
                block["input"] = None  # truncated by the token limit, so it cannot be sent back

    def _emit_text(self, text: str) -> None:
        if text := self._text_joiner.feed(text):
            self._events.append(TextDelta(text))

    def _emit_reasoning(self, text: str) -> None:
        if text := self._reasoning_joiner.feed(text):
            self._events.append(ReasoningDelta(text))

    def _emit_tool_call(
        self, index: int, call_id: str | None, name: str | None, arguments: str, *, whole: bool = False
    ) -> None:
        if not isinstance(call_id, str | None) or not isinstance(name, str | None):
            raise UpstreamBroken
        self._events.extend(
            self._tool_calls.add_piece(index, call_id, name, repair_surrogates(arguments), is_complete=whole)
        )

    def _set_finish_reason(self, raw_reason: str | None) -> None:
        finish = parse_finish_reason(raw_reason)
        if finish == FAILED:
            raise UpstreamBroken
        self._finish_reason = cast("FinishReason | None", finish) or self._finish_reason

    def _vendor_data(self) -> VendorData | None:
        blocks = [self._blocks[index] for index in sorted(self._blocks)]
        if all(block["type"] in _PLAIN_BLOCKS for block in blocks):
            return None
        thinking = [block for block in blocks if block["type"] in _THINKING_BLOCKS]
        is_complete = all(block.get("input", {}) is not None for block in blocks)
        content = [block for block in blocks if block.get("text") != ""] if is_complete else None
        return replace(
            self._origin, fields={"thinking_blocks": thinking} if thinking else {}, content=content
        )

    def _drain_events(self) -> list[ProviderEvent]:
        events, self._events = self._events, []
        return events
