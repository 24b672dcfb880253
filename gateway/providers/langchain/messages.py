"""Converts LangChain's message chunks to provider events."""

from __future__ import annotations

from typing import Any

import orjson
from langchain_core.messages import AIMessage

from gateway.core.exceptions import UpstreamBroken
from gateway.domain.events import ProviderEvent, ReasoningDelta, TextDelta
from gateway.providers.http.stream_decoders import SurrogateJoiner, repair_json_surrogates
from gateway.providers.tool_call_assembler import ToolCallAssembler


class ChunkConverter:
    """Converts the chunks, or the one message, of an answer to events.

    `metadata` collects the vendor's response metadata, in which the provider finds the finish reason.
    """

    def __init__(self) -> None:
        self.metadata: dict[str, Any] = {}
        self.tool_calls = ToolCallAssembler()
        self._text_joiner, self._reasoning_joiner = SurrogateJoiner(), SurrogateJoiner()
        self._reasoning_parts: list[str] = []

    def convert(self, message: AIMessage) -> list[ProviderEvent]:
        """Return the events of one chunk or message.

        Raises:
            UpstreamBroken: the content has an undocumented shape.
        """
        self.metadata.update(message.response_metadata)
        events: list[ProviderEvent] = []
        reasoning, text = _split_content(message.content)
        reasoning += message.additional_kwargs.get("reasoning_content") or ""
        if reasoning := self._reasoning_joiner.feed(reasoning):
            self._reasoning_parts.append(reasoning)
            events.append(ReasoningDelta(reasoning))
        if text := self._text_joiner.feed(text):
            events.append(TextDelta(text))
        for key, call_id, name, arguments in _tool_call_pieces(message):
            events += self.tool_calls.add_piece(key, call_id, name, arguments)
        return events

    def finish(self) -> list[ProviderEvent]:
        """Return the last events of the answer before `Completed`."""
        remainder = self._text_joiner.flush()
        return [*([TextDelta(remainder)] if remainder else []), *self.tool_calls.finish()]

    @property
    def reasoning(self) -> str:
        """The complete reasoning text."""
        return "".join(self._reasoning_parts)


def _split_content(content: str | list[str | dict[str, Any]]) -> tuple[str, str]:
    """Return the reasoning and the text of a message's content.

    Other kinds of blocks are ignored.
    """
    if isinstance(content, str):
        return "", content
    reasoning: list[str] = []
    text: list[str] = []
    try:
        for block in content:
            if isinstance(block, str):
                text.append(block)
            elif block.get("type") == "text":
                text.append(block.get("text") or "")
            elif block.get("type") in ("thinking", "reasoning"):
                reasoning.append(block.get("thinking") or block.get("reasoning") or "")
        return "".join(reasoning), "".join(text)
    except (TypeError, AttributeError) as error:
        raise UpstreamBroken from error


def _tool_call_pieces(message: AIMessage) -> list[tuple[Any, str | None, str | None, str]]:
    """Return (index, id, name, arguments) of each tool call fragment."""
    pieces = getattr(message, "tool_call_chunks", None)
    if pieces is not None:
        return [(p.get("index"), p.get("id"), p.get("name"), p.get("args") or "") for p in pieces]
    valid = [
        (None, c.get("id"), c["name"], orjson.dumps(repair_json_surrogates(c["args"])).decode())
        for c in message.tool_calls
    ]
    invalid = [(None, c.get("id"), c.get("name"), c.get("args") or "") for c in message.invalid_tool_calls]
    return [*valid, *invalid]
