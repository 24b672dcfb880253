"""From LangChain's chunks to our events."""

from __future__ import annotations

from typing import Any

import orjson
from langchain_core.messages import AIMessage

from gateway.core.exceptions import UpstreamBroken
from gateway.domain.events import ProviderEvent, ReasoningDelta, TextDelta
from gateway.providers.http.stream_decoders import SurrogateJoiner, repair_json_surrogates
from gateway.providers.tool_call_assembler import ToolCallAssembler


class ChunkConverter:
    """Turns LangChain's chunks (or its one whole message) into events and keeps the finish reason.

    `metadata` gathers the vendor's response metadata; the provider reads its finish reason there.
    """

    def __init__(self) -> None:
        self.metadata: dict[str, Any] = {}
        self.tool_calls = ToolCallAssembler()
        self._text_joiner, self._reasoning_joiner = SurrogateJoiner(), SurrogateJoiner()
        self._reasoning_parts: list[str] = []

    def convert(self, message: AIMessage) -> list[ProviderEvent]:
        """The events of one chunk or whole message.

        Raises:
            UpstreamBroken: its content has a shape that no vendor documents.
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
        """What ends the answer before its `Completed`."""
        remainder = self._text_joiner.flush()
        return [*([TextDelta(remainder)] if remainder else []), *self.tool_calls.finish()]

    @property
    def reasoning(self) -> str:
        """All that the model has thought."""
        return "".join(self._reasoning_parts)


def _split_content(content: str | list[str | dict[str, Any]]) -> tuple[str, str]:
    """(reasoning, text) of a message's content; blocks of other kinds are the tools' own business."""
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
    """(index, id, name, arguments) of each piece of a tool call."""
    pieces = getattr(message, "tool_call_chunks", None)
    if pieces is not None:
        return [(p.get("index"), p.get("id"), p.get("name"), p.get("args") or "") for p in pieces]
    valid = [
        (None, c.get("id"), c["name"], orjson.dumps(repair_json_surrogates(c["args"])).decode())
        for c in message.tool_calls
    ]
    invalid = [(None, c.get("id"), c.get("name"), c.get("args") or "") for c in message.invalid_tool_calls]
    return [*valid, *invalid]
