"""Parses OpenAI's responses, streamed or not, into provider events.

Their shape is not trusted.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, cast

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
)
from gateway.providers.openai.response_shapes import extract_text, is_error, parse_logprobs
from gateway.providers.openai.tool_calls import parse_tool_calls
from gateway.providers.response_ids import parse_vendor_response
from gateway.providers.token_counts import TokenCounts
from gateway.providers.tool_call_assembler import ToolCallAssembler
from gateway.providers.vendor_data import merge_field

# Message fields that are handled explicitly; all others are passed on as extra fields.
_HANDLED_FIELDS = frozenset(
    {"role", "content", "refusal", "reasoning_content", "reasoning", "tool_calls", "function_call", "audio"}
)
_EMPTY: Mapping[str, Any] = {}


class OpenAIResponseParser:
    """Turns the bytes of one response into events.

    Adjacent text in one `feed` becomes one `TextDelta`, so the cost per token falls when a backlog builds up.
    `done` is True after the end marker.
    """

    def __init__(self, origin: VendorData | None = None) -> None:
        """Prepare to parse one response.

        Args:
            origin: identifies the upstream. The `VendorData` of the answer is a copy of it.
        """
        self.done = False
        self.error: GatewayError | None = None
        self._decoder = SSEDecoder()
        self._finish_reason: FinishReason | None = None
        self._token_counts = TokenCounts()
        self._has_usage = False
        self._events: list[ProviderEvent] = []
        self._text_parts: list[str] = []
        self._logprobs: list[dict[str, Any]] = []
        self._in_refusal = False
        self._tool_calls = ToolCallAssembler()
        self._unstreamed = False
        self._text_joiner, self._reasoning_joiner = SurrogateJoiner(), SurrogateJoiner()
        self._origin = origin or VendorData()
        self._echo_fields: dict[str, Any] = {}
        self._vendor_response: VendorResponse | None = None

    def feed(self, data: bytes) -> list[ProviderEvent]:
        """Parse the complete lines of `data`, bytes of a server-sent event stream.

        On malformed input, an error event or a line beyond the limit, return the events before it and set
        `error`.
        """
        return self._handle_payloads(self._decoder.feed(data))

    def feed_eof(self) -> list[ProviderEvent]:
        """Return the events of an unterminated last line, after the stream has closed."""
        return self._handle_payloads(self._decoder.feed_eof())

    def finish(self) -> list[ProviderEvent]:
        """Return the last events of the answer, ending with `Completed`, after the stream has closed.

        Raises:
            UpstreamBroken: the stream closed without a finish reason, or inside a line.
        """
        if (
            self._finish_reason is None
            or self._tool_calls.has_unnamed_call
            or (self.error is not None and not self.is_complete)
        ):
            raise UpstreamBroken
        self._text_parts.append(self._text_joiner.flush())
        self._flush()
        self._events.extend(self._tool_calls.finish())
        finish = self._finish_reason
        if finish == "stop" and self._tool_calls:
            finish = "tool_calls"  # several compatible servers send `stop` here
        # Without fields, it still records which upstream the extra fields of the tool calls belong to.
        vendor = (
            replace(self._origin, fields=self._echo_fields)
            if self._echo_fields or self._tool_calls.has_extra_fields
            else None
        )
        return [
            *self._drain_events(),
            Completed(finish, self._token_counts.usage, vendor, self._vendor_response),
        ]

    @property
    def usage(self) -> Usage | None:
        """The usage reported so far."""
        return self._token_counts.usage

    @property
    def is_complete(self) -> bool:
        """Whether the answer is complete, so that a connection lost now loses nothing."""
        return self.done or (self._finish_reason is not None and self._has_usage)

    def parse_body(self, body: bytes) -> list[ProviderEvent]:
        """Return all events of a response that was not streamed, `Completed` last.

        Raises:
            UpstreamBroken: it is not a finished answer.
        """
        try:
            answer = parse_event_json(body)
            if is_error(answer):
                raise classify_stream_error(answer)
            self._read_usage(answer.get("usage"))
            choice = answer["choices"][0]
            if choice.get("error"):
                raise classify_stream_error(choice)
            self._unstreamed = True
            self._handle_delta(choice["message"], choice.get("logprobs"))
            self._read_top_level(answer)
            self._read_finish(choice.get("finish_reason"))
        except (ValueError, TypeError, KeyError, IndexError, AttributeError) as error:
            raise UpstreamBroken from error
        return self.finish()

    def _handle_payloads(self, payloads: list[Any]) -> list[ProviderEvent]:
        try:
            for payload in payloads:
                if payload is DONE:
                    self.done = True
                elif not self.done:
                    self._handle_chunk(payload)
        except GatewayError as error:
            self.error = error
        except (ValueError, TypeError, KeyError, IndexError, AttributeError) as error:
            self.error = UpstreamBroken()
            self.error.__cause__ = error
        else:
            self.error = self.error or self._decoder.error
        return self._drain_events()

    def _handle_chunk(self, chunk: dict[str, Any]) -> None:
        choices = chunk.get("choices")
        if (not choices and is_error(chunk)) or chunk.get("error"):
            raise classify_stream_error(chunk)
        usage = chunk.get("usage") or (chunk.get("x_groq") or _EMPTY).get("usage")
        if usage is not None:
            self._read_usage(usage)
        for choice in choices or ():
            if choice.get("index"):
                continue  # only one choice was requested
            if choice.get("error"):  # where OpenRouter puts it
                raise classify_stream_error(choice)
            delta = choice.get("delta")
            if delta:
                self._handle_delta(delta, choice.get("logprobs"))
            finish = choice.get("finish_reason")
            if choice.get("usage"):  # where Moonshot puts it
                self._read_usage(choice["usage"])
            if finish is not None:
                self._read_finish(finish)
                self._read_top_level(chunk)

    def _read_top_level(self, answer: dict[str, Any]) -> None:
        """Read the response's id and model, and the citations that some servers send next to the choices."""
        self._vendor_response = parse_vendor_response(answer)
        if answer.get("citations"):
            self._emit_fields({"citations": answer["citations"]})

    def _handle_delta(self, delta: dict[str, Any], logprobs: Any) -> None:
        """Handle one `delta` of a stream, or the `message` of a response that was not streamed."""
        if len(delta) == 1 and not logprobs and type(content := delta.get("content")) is str:
            self._text_parts.append(self._text_joiner.feed(content))  # fast path: most deltas are plain text
            return
        for field in ("reasoning_content", "reasoning"):
            reasoning = delta.get(field)
            if reasoning:
                self._handle_reasoning(field, self._reasoning_joiner.feed(extract_text(reasoning)))
                break
            if reasoning == "" and not self._echo_fields:
                self._echo_fields[field] = ""  # some vendors require the field back even if it is empty
        content = delta.get("content")
        if not content and (content := delta.get("refusal")) and not self._in_refusal:
            self._flush()
            self._in_refusal = True
        if content:
            self._handle_content(content)
        if logprobs:
            self._logprobs.extend(parse_logprobs(logprobs))
        self._handle_tool_calls(delta)
        if not _HANDLED_FIELDS.issuperset(delta):
            self._emit_fields(
                {
                    name: repair_json_surrogates(value)
                    for name, value in delta.items()
                    if name not in _HANDLED_FIELDS and value
                }
            )

    def _handle_content(self, content: Any) -> None:
        """Handle text or a list of parts.

        Mistral sends thinking as parts, and does not need it back.
        """
        if type(content) is str:
            self._text_parts.append(self._text_joiner.feed(content))
            return
        for part in content if type(content) is list else [content]:
            if type(part) is dict and part.get("type") == "thinking":
                self._emit_reasoning(self._reasoning_joiner.feed(extract_text(part.get("thinking"))))
            else:
                self._text_parts.append(self._text_joiner.feed(extract_text(part)))

    def _emit_reasoning(self, text: str) -> None:
        if text:
            self._flush()
            self._events.append(ReasoningDelta(text))

    def _handle_reasoning(self, field: str, text: str) -> None:
        self._emit_reasoning(text)
        if text:
            self._echo_fields[field] = self._echo_fields.get(field, "") + text

    def _emit_fields(self, fields: dict[str, Any]) -> None:
        """Emit vendor-specific message fields, and record them to be sent back."""
        if not fields:
            return
        self._flush()
        self._events.append(MessageFields(fields))
        for name, value in fields.items():
            self._echo_fields[name] = merge_field(self._echo_fields.get(name), value)

    def _handle_tool_calls(self, delta: dict[str, Any]) -> None:
        for fragment in parse_tool_calls(delta, unstreamed=self._unstreamed):
            pieces = self._tool_calls.add_piece(
                fragment.key,
                fragment.call_id,
                fragment.name,
                fragment.arguments,
                fragment.extra,
                is_complete=self._unstreamed,
            )
            if pieces:
                self._flush()
                self._events.extend(pieces)

    def _read_finish(self, finish: Any) -> None:
        if finish is None or finish is False:
            return
        if type(finish) is not str:
            raise UpstreamBroken
        reason = parse_finish_reason(finish)
        if reason == FAILED:
            raise UpstreamBroken
        self._finish_reason = cast("FinishReason | None", reason) or self._finish_reason

    def _read_usage(self, usage: Any) -> None:
        if usage:
            self._has_usage = True
            self._token_counts.read_openai(usage)

    def _flush(self) -> None:
        """Emit the collected text as one event."""
        if self._text_parts or self._logprobs:
            text = "".join(self._text_parts)
            if text or self._logprobs:
                self._events.append(TextDelta(text, tuple(self._logprobs), self._in_refusal))
            self._text_parts.clear()
            self._logprobs.clear()

    def _drain_events(self) -> list[ProviderEvent]:
        self._flush()
        events, self._events = self._events, []
        return events
