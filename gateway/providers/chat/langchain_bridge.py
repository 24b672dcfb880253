"""Between our messages and events and LangChain's, in both directions."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import orjson
from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)

from gateway.core.exceptions import UnsupportedParameter, UpstreamBroken
from gateway.domain.chat import ChatRequest, ToolChoice, ToolSpec
from gateway.domain.events import ProviderEvent, ReasoningDelta, TextDelta
from gateway.domain.messages import Message, TextPart, ToolCall
from gateway.providers.chat.tool_calls import ToolCallPieces

# How base64 of a PNG, JPEG, GIF and WebP begins.
_IMAGE_MAGIC = ("iVBORw0KGgo", "/9j/", "R0lGOD", "UklGR")


def messages(request: ChatRequest, one_system_message: bool) -> list[BaseMessage]:
    """The request's messages as LangChain's; tool messages get the name of the call they answer.

    `one_system_message`: put all system text in front, for vendors that know only one.

    Raises:
        UnsupportedParameter: an image that is not given by value.
    """
    history: Iterable[Message] = request.messages
    if one_system_message:
        system = "\n\n".join(m.text for m in request.messages if m.role == "system")
        rest = [m for m in request.messages if m.role != "system"]
        history = [Message("system", system), *rest] if system else rest
    names = {call.id: call.name for message in request.messages for call in message.tool_calls}
    return [_message(message, names) for message in history]


def tools(specs: tuple[ToolSpec, ...]) -> list[dict[str, Any]]:
    """Tools in OpenAI's shape, which every LangChain model converts."""
    return [
        {
            "type": "function",
            "function": {"name": s.name, "description": s.description, "parameters": s.parameters},
        }
        for s in specs
    ]


def refuse(**parameters: object) -> None:
    """Refuse parameters that a vendor does not have: each that is set is named.

    Raises:
        UnsupportedParameter: for the first that is neither None, False nor empty.
    """
    for name, value in parameters.items():
        if value is not None and value is not False and value != ():
            raise UnsupportedParameter(param=name)


def tool_choice(choice: ToolChoice) -> str:
    """LangChain's word for the choice: `auto`, `none`, `any`, or a tool's name."""
    if choice.mode == "function":
        return choice.name or "any"
    return "any" if choice.mode == "required" else choice.mode


class ChunkReader:
    """Turns LangChain's chunks (or its one whole message) into events and keeps the finish reason.

    `metadata` gathers the vendor's response metadata; the provider reads its finish reason there.
    """

    def __init__(self) -> None:
        self.metadata: dict[str, Any] = {}
        self.calls = ToolCallPieces()

    def read(self, message: AIMessage) -> list[ProviderEvent]:
        """The events of one chunk or whole message.

        Raises:
            UpstreamBroken: its content has a shape that no vendor documents.
        """
        self.metadata.update(message.response_metadata)
        events: list[ProviderEvent] = []
        reasoning, text = _split(message.content)
        reasoning += message.additional_kwargs.get("reasoning_content") or ""
        if reasoning:
            events.append(ReasoningDelta(reasoning))
        if text:
            events.append(TextDelta(text))
        for key, call_id, name, arguments in _calls(message):
            piece = self.calls.piece(key, call_id, name, arguments)
            if piece is not None:
                events.append(piece)
        return events


def _message(message: Message, names: dict[str, str]) -> BaseMessage:
    content = _content(message)
    if message.role == "system":
        return SystemMessage(content)
    if message.role == "user":
        return HumanMessage(content)
    if message.role == "tool":
        call_id = message.tool_call_id or ""
        return ToolMessage(content, tool_call_id=call_id, name=message.name or names.get(call_id))
    calls = [
        {"id": c.id, "name": c.name, "args": _arguments(c), "type": "tool_call"} for c in message.tool_calls
    ]
    return AIMessage(content, tool_calls=calls)


def _content(message: Message) -> Any:
    if isinstance(message.content, str) or not message.has_images:
        return message.text
    return [
        {"type": "text", "text": part.text}
        if isinstance(part, TextPart)
        else {"type": "image_url", "image_url": {"url": _image(part.url)}}
        for part in message.content
    ]


def _image(url: str) -> str:
    """An image by value, or a refusal.

    SDKs fetch an address themselves (with no look at where it points, blocking the loop) and read a string
    that happens to be a path from the disk, so only bytes that are an image may reach them.
    """
    head, _, data = url.partition(";base64,")
    if not head.startswith("data:image/"):
        raise UnsupportedParameter(
            "This model takes images as data: URLs only.", param="messages.content.image_url"
        )
    if not data.startswith(_IMAGE_MAGIC):
        raise UnsupportedParameter(
            "The image is none of PNG, JPEG, GIF and WebP.", param="messages.content.image_url"
        )
    return url


def _arguments(call: ToolCall) -> dict[str, Any]:
    """The arguments as an object; a call whose JSON the model got wrong is kept as text under one key."""
    try:
        value = orjson.loads(call.arguments or "{}")
    except orjson.JSONDecodeError:
        return {"arguments": call.arguments}
    return value if isinstance(value, dict) else {"arguments": value}


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
    good = [(None, c.get("id"), c["name"], orjson.dumps(c["args"]).decode()) for c in message.tool_calls]
    bad = [(None, c.get("id"), c.get("name"), c.get("args") or "") for c in message.invalid_tool_calls]
    return [*good, *bad]
