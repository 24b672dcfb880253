"""Tools, tool calls and tool choices of a chat completion, converted to functions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gateway.core.exceptions import UnsupportedParameter, ValidationFailed
from gateway.dialects.openai.chat.body import ChatCompletionBody, NamedToolChoice, ToolBody, ToolCallBody
from gateway.dialects.openai.client_tools import (
    ClientTool,
    ClientTools,
    build_client_tools,
    custom_call,
    custom_spec,
)
from gateway.domain.messages import ToolCall
from gateway.domain.requests import ToolChoice, ToolSpec

_NO_PARAMETERS: dict[str, Any] = {"type": "object", "properties": {}}


def chat_tools(declared: Sequence[ToolBody]) -> ClientTools:
    """Parse the functions and custom tools of the body.

    Raises:
        UnsupportedParameter, ValidationFailed: `param` is the path of the tool.
    """
    return build_client_tools(_parse_tool(tool, index) for index, tool in enumerate(declared))


def _parse_tool(tool: ToolBody, index: int) -> ClientTool:
    if tool.type == "custom":
        if tool.custom is None:
            raise ValidationFailed("A custom tool needs the field custom.", param=f"tools.{index}.custom")
        name = tool.custom.name
        return ClientTool(name, "custom", custom_spec(name, tool.custom.description, tool.custom.format))
    if tool.type != "function":
        raise UnsupportedParameter(
            "Only function and custom tools are supported.", param=f"tools.{index}.type"
        )
    function = tool.function
    if function is None:
        raise ValidationFailed("A function tool needs the field function.", param=f"tools.{index}.function")
    spec = ToolSpec(
        function.name,
        function.description or "",
        function.parameters or _NO_PARAMETERS,
        function.strict,
        non_null_fields(tool.model_extra),
    )
    return ClientTool(function.name, "function", spec)


def tool_choice(body: ChatCompletionBody, tools: ClientTools) -> tuple[ToolChoice, tuple[ToolSpec, ...]]:
    """Parse the tool choice; return it with the tools offered to the model.

    Raises:
        ValidationFailed: there are no tools, or none of this name.
    """
    choice = body.tool_choice
    if choice is None:
        return ToolChoice(), tools.specs
    if not body.tools and not body.gateway.tools and choice not in ("none", "auto"):
        raise ValidationFailed("tool_choice requires tools.", param="tool_choice")
    if not isinstance(choice, NamedToolChoice):
        return ToolChoice(choice), tools.specs
    if choice.type == "allowed_tools" and choice.allowed_tools is not None:
        allowed = choice.allowed_tools
        return tools.allowed([(tool.type, tool.name, None) for tool in allowed.tools], allowed.mode)
    name = choice.name
    if name is None or (body.tools and tools.find(name, choice.type) is None):
        raise ValidationFailed("tool_choice names an unknown tool.", param="tool_choice")
    return ToolChoice("function", name), tools.specs


def tool_call(call: ToolCallBody, path: str) -> ToolCall:
    """Parse a tool call that a client sends back.

    Raises:
        ValidationFailed: it does not name the called tool.
    """
    if call.type == "custom":
        if call.custom is None:
            raise ValidationFailed("A custom call needs the field custom.", param=f"{path}.custom")
        return custom_call(call.id, call.custom.name, call.custom.input)
    if call.function is None:
        raise ValidationFailed("A function call needs the field function.", param=f"{path}.function")
    extra = non_null_fields(call.model_extra)
    if function := non_null_fields(call.function.model_extra):
        extra["function"] = function
    return ToolCall(call.id, call.function.name, call.function.arguments, extra)


def non_null_fields(extra: Mapping[str, Any] | None, without: frozenset[str] = frozenset()) -> dict[str, Any]:
    """Return unknown fields that are not null, to forward to OpenAI-compatible upstreams."""
    return {name: value for name, value in (extra or {}).items() if value is not None and name not in without}
