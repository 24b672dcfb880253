"""Converts `/v1/responses` input items to messages, and messages back to items."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any
from uuid import UUID

from gateway.core.exceptions import UnsupportedParameter, ValidationFailed
from gateway.dialects.openai.client_tools import ClientTools, custom_call, custom_input
from gateway.dialects.openai.content_parts import parse_image_url, raw_part
from gateway.dialects.openai.responses.body import InputItem, InputPart
from gateway.dialects.openai.responses.message_builder import MessageBuilder
from gateway.dialects.openai.responses.reasoning import decode_reasoning
from gateway.domain.messages import Content, ImagePart, Message, RawPart, TextPart, ToolCall

_TEXT_TYPES = ("input_text", "output_text", "text")
# Records of OpenAI's hosted tools, which mean nothing to other models.
_IGNORED_TYPES = frozenset(
    {
        *("web_search_call", "file_search_call", "image_generation_call"),
        *("code_interpreter_call", "tool_search_call", "tool_search_output", "mcp_list_tools", "mcp_call"),
    }
)


def input_messages(items: Sequence[InputItem], tools: ClientTools) -> tuple[Message, ...]:
    """Return the messages for the model; consecutive calls become one message.

    Reasoning is attached to the calls that followed it, for vendors that require it; records of hosted tools
    are dropped.

    Raises:
        ValidationFailed, UnsupportedParameter: `param` is the path of the item.
    """
    builder = MessageBuilder()
    reasoning = ""
    for index, item in enumerate(items):
        path, kind = f"input.{index}", item_type(item)
        if kind == "reasoning":
            reasoning += decode_reasoning(item)
            continue
        if kind in ("function_call", "custom_tool_call"):
            builder.add_call(_parse_call(item, path, tools), reasoning)
            reasoning = ""
        elif kind == "message":
            builder.add_message(_parse_message(item, path))
            reasoning = reasoning if item.role == "assistant" else ""
        elif kind in ("function_call_output", "custom_tool_call_output"):
            builder.add_output(_parse_output(item, path))
        elif kind == "item_reference":
            if not item.id:
                raise ValidationFailed("A reference needs the id of its item.", param=f"{path}.id")
        elif kind not in _IGNORED_TYPES:
            raise UnsupportedParameter("Input of this type is not supported.", param=f"{path}.type")
    return builder.messages


def item_type(item: InputItem) -> str:
    """Return the item's type, which messages and references may omit."""
    if item.type is not None:
        return item.type
    return "item_reference" if item.role is None and item.content is None and item.id else "message"


def input_items(messages: Sequence[Message], message_id: UUID, tools: ClientTools) -> list[dict[str, Any]]:
    """Return the messages as OpenAI's input items; item ids start with `message_id`."""
    return [
        {"id": f"item_{message_id.hex}_{index}", **item} for index, item in enumerate(_items(messages, tools))
    ]


def _items(messages: Sequence[Message], tools: ClientTools) -> Iterator[dict[str, Any]]:
    custom: set[str] = set()
    for message in messages:
        if message.role == "tool":
            kind = "custom_tool_call_output" if message.tool_call_id in custom else "function_call_output"
            yield {
                "type": kind,
                "call_id": message.tool_call_id,
                "output": message.content if isinstance(message.content, str) else _part_bodies(message),
                "status": "completed",
            }
            continue
        if message.content or not message.tool_calls:
            yield {
                "type": "message",
                "role": message.role,
                "content": _part_bodies(message),
                "status": "completed",
            }
        for call in message.tool_calls:
            item = call_fields(call, tools)
            if item["type"] == "custom_tool_call":
                custom.add(call.id)
            yield {**item, "status": "completed"}


def call_fields(call: ToolCall, tools: ClientTools) -> dict[str, Any]:
    """Return a call with the type and name under which the client declared its tool."""
    tool = tools.by_model_name(call.name)
    item: dict[str, Any] = {"type": "function_call", "call_id": call.id, "name": call.name}
    if tool is not None and tool.kind == "custom":
        item |= {"type": "custom_tool_call", "name": tool.name, "input": custom_input(call.arguments)}
    else:
        item |= {"name": tool.name if tool is not None else call.name, "arguments": call.arguments}
    if tool is not None and tool.namespace is not None:
        item["namespace"] = tool.namespace
    return item


def _part_bodies(message: Message) -> list[dict[str, Any]]:
    kind = "output_text" if message.role == "assistant" else "input_text"
    content = (TextPart(message.content),) if isinstance(message.content, str) else message.content
    return [_part_body(part, kind) for part in content]


def _part_body(part: TextPart | ImagePart | RawPart, kind: str) -> dict[str, Any]:
    if isinstance(part, TextPart):
        return {"type": kind, "text": part.text}
    if isinstance(part, ImagePart):
        return {"type": "input_image", "image_url": part.url, "detail": part.detail}
    if part.type == "file":
        return {"type": "input_file", **part.fields["file"]}
    return {"type": part.type, **part.fields}


def _parse_message(item: InputItem, path: str) -> Message:
    if item.role is None:
        raise ValidationFailed("A message needs a role.", param=f"{path}.role")
    if item.content is None and item.role != "assistant":
        raise ValidationFailed("A message needs content.", param=f"{path}.content")
    role = "system" if item.role == "developer" else item.role
    return Message(role, _content(item.content or (), f"{path}.content"))


def _parse_call(item: InputItem, path: str, tools: ClientTools) -> ToolCall:
    if not item.call_id:
        raise ValidationFailed("A call needs a call_id.", param=f"{path}.call_id")
    if not item.name:
        raise ValidationFailed("A call needs a name.", param=f"{path}.name")
    if item.type == "custom_tool_call":
        name = tools.model_name(item.name, "custom", item.namespace)
        return custom_call(item.call_id, name, item.input or "")
    name = tools.model_name(item.name, "function", item.namespace)
    return ToolCall(item.call_id, name, item.arguments or "{}")


def _parse_output(item: InputItem, path: str) -> Message:
    if not item.call_id:
        raise ValidationFailed("An output needs the call_id of its call.", param=f"{path}.call_id")
    if item.output is None:
        raise ValidationFailed("The output is missing.", param=f"{path}.output")
    return Message("tool", _content(item.output, f"{path}.output"), tool_call_id=item.call_id)


def _content(content: Sequence[InputPart], path: str) -> Content:
    parts = tuple(_part(part, f"{path}.{index}") for index, part in enumerate(content))
    if all(isinstance(part, TextPart) for part in parts):
        return "".join(part.text for part in parts if isinstance(part, TextPart))
    return parts


def _part(part: InputPart, path: str) -> TextPart | ImagePart | RawPart:
    if part.type in _TEXT_TYPES:
        if part.text is None:
            raise ValidationFailed("A part of this type needs text.", param=f"{path}.text")
        return TextPart(part.text)
    if part.type == "refusal" and part.refusal is not None:
        return TextPart(part.refusal)
    if part.type == "input_image":
        if part.file_id is not None:
            raise UnsupportedParameter("Images must be given by image_url.", param=f"{path}.file_id")
        return ImagePart(parse_image_url(part.image_url or "", f"{path}.image_url"), part.detail or "auto")
    if part.type in ("input_file", "input_audio"):
        extra = part.model_extra or {}
        if part.type == "input_audio":
            return raw_part("input_audio", extra.get("input_audio"), path)
        if extra.get("file_url") is not None:
            raise UnsupportedParameter("Files must be given by file_data.", param=f"{path}.file_url")
        file_fields = {
            "file_id": part.file_id,
            "file_data": extra.get("file_data"),
            "filename": extra.get("filename"),
        }
        return raw_part(
            "file", {name: value for name, value in file_fields.items() if value is not None}, path
        )
    raise UnsupportedParameter("Only text, images, files and audio are supported.", param=f"{path}.type")
