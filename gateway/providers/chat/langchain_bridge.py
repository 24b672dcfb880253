"""From LangChain's chunks to our events."""

from __future__ import annotations

from typing import Any

import orjson
from langchain_core.messages import AIMessage

from gateway.core.exceptions import UpstreamBroken
from gateway.domain.events import ProviderEvent, ReasoningDelta, TextDelta
from gateway.providers.chat.sse import WholeText, whole_json
from gateway.providers.chat.tool_calls import ToolCallPieces


class ChunkReader:
    """Turns LangChain's chunks (or its one whole message) into events and keeps the finish reason.

    `metadata` gathers the vendor's response metadata; the provider reads its finish reason there.
    """

    def __init__(self) -> None:
        self.metadata: dict[str, Any] = {}
        self.calls = ToolCallPieces()
        self._said, self._thought = WholeText(), WholeText()
        self._thoughts: list[str] = []

    def read(self, message: AIMessage) -> list[ProviderEvent]:
        """The events of one chunk or whole message.

        Raises:
            UpstreamBroken: its content has a shape that no vendor documents.
        """
        self.metadata.update(message.response_metadata)
        events: list[ProviderEvent] = []
        reasoning, text = _split(message.content)
        reasoning += message.additional_kwargs.get("reasoning_content") or ""
        if reasoning := self._thought.feed(reasoning):
            self._thoughts.append(reasoning)
            events.append(ReasoningDelta(reasoning))
        if text := self._said.feed(text):
            events.append(TextDelta(text))
        for key, call_id, name, arguments in _calls(message):
            events += self.calls.piece(key, call_id, name, arguments)
        return events

    def rest(self) -> list[ProviderEvent]:
        """What ends the answer before its `Completed`."""
        half = self._said.rest()
        return [*([TextDelta(half)] if half else []), *self.calls.finish()]

    @property
    def reasoning(self) -> str:
        """All that the model has thought."""
        return "".join(self._thoughts)


def _split(content: str | list[str | dict[str, Any]]) -> tuple[str, str]:
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


def _calls(message: AIMessage) -> list[tuple[Any, str | None, str | None, str]]:
    """(index, id, name, arguments) of each piece of a tool call."""
    pieces = getattr(message, "tool_call_chunks", None)
    if pieces is not None:
        return [(p.get("index"), p.get("id"), p.get("name"), p.get("args") or "") for p in pieces]
    good = [
        (None, c.get("id"), c["name"], orjson.dumps(whole_json(c["args"])).decode())
        for c in message.tool_calls
    ]
    bad = [(None, c.get("id"), c.get("name"), c.get("args") or "") for c in message.invalid_tool_calls]
    return [*good, *bad]
