"""From the items of a `/v1/responses` input to messages, and back to the items that are told again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID

from gateway.core.exceptions import UnsupportedParameter, ValidationFailed
from gateway.dialects.openai.responses_body import InputItem, InputPart
from gateway.domain.messages import Content, ImagePart, Message, TextPart, ToolCall

_TEXTS = ("input_text", "output_text", "text")


def input_messages(given: Sequence[InputItem]) -> tuple[Message, ...]:
    """What a model is shown of the input; calls that follow one another are one message of its own.

    Thoughts of earlier answers are left out: no provider here takes them back.

    Raises:
        ValidationFailed, UnsupportedParameter: `param` is the path of the item.
    """
    messages: list[Message] = []
    for at, item in enumerate(given):
        kind = item.type or "message"
        if kind == "message":
            messages.append(_said(item, f"input.{at}"))
        elif kind == "function_call":
            _add_call(messages, _call(item, f"input.{at}"))
        elif kind == "function_call_output":
            messages.append(_result(item, messages, f"input.{at}"))
        elif kind != "reasoning":
            raise UnsupportedParameter("Input of this type is not supported here.", param=f"input.{at}.type")
    if not messages:
        raise ValidationFailed("The input has nothing to answer.", param="input")
    return tuple(messages)


def input_items(messages: Sequence[Message], of: UUID) -> list[dict[str, Any]]:
    """The messages as OpenAI's input items; their ids begin with that of the message `of`."""
    return [{"id": f"item_{of.hex}_{at}", **item} for at, item in enumerate(_items(messages))]


def _items(messages: Sequence[Message]) -> Iterator[dict[str, Any]]:
    for message in messages:
        if message.role == "tool":
            yield {
                "type": "function_call_output",
                "call_id": message.tool_call_id,
                "output": message.content if isinstance(message.content, str) else _parts(message),
                "status": "completed",
            }
            continue
        if message.content or not message.tool_calls:
            yield {
                "type": "message",
                "role": message.role,
                "content": _parts(message),
                "status": "completed",
            }
        for call in message.tool_calls:
            yield {
                "type": "function_call",
                "call_id": call.id,
                "name": call.name,
                "arguments": call.arguments,
                "status": "completed",
            }


def _parts(message: Message) -> list[dict[str, Any]]:
    kind = "output_text" if message.role == "assistant" else "input_text"
    content = (TextPart(message.content),) if isinstance(message.content, str) else message.content
    return [
        {"type": kind, "text": part.text}
        if isinstance(part, TextPart)
        else {"type": "input_image", "image_url": part.url, "detail": part.detail}
        for part in content
    ]


def _said(item: InputItem, path: str) -> Message:
    if item.role is None:
        raise ValidationFailed("A message needs its role.", param=f"{path}.role")
    if item.content is None:
        raise ValidationFailed("A message needs content.", param=f"{path}.content")
    role = "system" if item.role == "developer" else item.role
    return Message(role, _content(item.content, f"{path}.content"))


def _call(item: InputItem, path: str) -> ToolCall:
    if not item.call_id:
        raise ValidationFailed("A call needs its call_id.", param=f"{path}.call_id")
    if not item.name:
        raise ValidationFailed("A call needs its name.", param=f"{path}.name")
    return ToolCall(item.call_id, item.name, item.arguments or "{}")


def _add_call(messages: list[Message], call: ToolCall) -> None:
    if messages and messages[-1].role == "assistant":
        messages[-1] = replace(messages[-1], tool_calls=(*messages[-1].tool_calls, call))
    else:
        messages.append(Message("assistant", "", (call,)))


def _result(item: InputItem, before: Sequence[Message], path: str) -> Message:
    if not item.call_id:
        raise ValidationFailed("An output needs the call_id of its call.", param=f"{path}.call_id")
    if item.output is None:
        raise ValidationFailed("An output is missing.", param=f"{path}.output")
    names = {call.id: call.name for message in before for call in message.tool_calls}
    content = _content(item.output, f"{path}.output")
    return Message("tool", content, tool_call_id=item.call_id, name=names.get(item.call_id))


def _content(content: Sequence[InputPart], path: str) -> Content:
    parts = tuple(_part(part, f"{path}.{at}") for at, part in enumerate(content))
    if all(isinstance(part, TextPart) for part in parts):
        return "".join(part.text for part in parts if isinstance(part, TextPart))
    return parts


def _part(part: InputPart, path: str) -> TextPart | ImagePart:
    if part.type in _TEXTS:
        if part.text is None:
            raise ValidationFailed("A part of this type needs its text.", param=f"{path}.text")
        return TextPart(part.text)
    if part.type == "refusal" and part.refusal is not None:
        return TextPart(part.refusal)
    if part.type == "input_image":
        if part.file_id is not None:
            raise UnsupportedParameter("Images are given by image_url here.", param=f"{path}.file_id")
        if part.image_url is None or not part.image_url.startswith(("https://", "http://", "data:image/")):
            raise ValidationFailed("An image is an http(s) or data:image URL.", param=f"{path}.image_url")
        return ImagePart(part.image_url, part.detail or "auto")
    raise UnsupportedParameter("Only text and images are supported.", param=f"{path}.type")
