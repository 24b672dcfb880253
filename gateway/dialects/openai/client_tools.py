"""Converts client tools to functions, and calls back to the declared types."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import orjson

from gateway.core.exceptions import UnsupportedParameter, ValidationFailed
from gateway.domain.messages import ToolCall
from gateway.domain.requests import ToolChoice, ToolSpec

ToolKind = Literal["function", "custom"]

# Tools that OpenAI runs itself, or that only its own models are trained to call.
_HOSTED_TYPES = (
    *("web_search", "file_search", "code_interpreter", "image_generation", "mcp", "tool_search"),
    *("computer", "local_shell", "shell", "apply_patch", "programmatic_tool_calling"),
)
# OpenAI rejects longer function names.
_MAX_NAME_LENGTH = 64
_INPUT_ARGUMENT = "input"


@dataclass(frozen=True, slots=True)
class ClientTool:
    """A tool under the client's name; `spec` is the function offered to the model."""

    name: str
    kind: ToolKind
    spec: ToolSpec
    namespace: str | None = None


@dataclass(frozen=True, slots=True)
class ClientTools:
    """The tools of one request.

    `web_search` is set if OpenAI's web search was among them.
    """

    tools: tuple[ClientTool, ...] = ()
    web_search: bool = False
    _renamed: Mapping[str, ClientTool] = field(default_factory=dict)

    @property
    def specs(self) -> tuple[ToolSpec, ...]:
        return tuple(tool.spec for tool in self.tools)

    def by_model_name(self, name: str) -> ClientTool | None:
        """Return the tool for a model's call of this name.

        None for plain functions and unknown names.
        """
        return self._renamed.get(name)

    def find(self, name: str, kind: str, namespace: str | None = None) -> ClientTool | None:
        """Return the tool by the client's name for it."""
        return next(
            (t for t in self.tools if (t.name, t.kind, t.namespace) == (name, kind, namespace)),
            None,
        )

    def find_unique(self, name: str, kind: str) -> ClientTool | None:
        """Return the tool of this type and name if there is exactly one, in any namespace."""
        matches = [tool for tool in self.tools if (tool.name, tool.kind) == (name, kind)]
        return matches[0] if len(matches) == 1 else None

    def allowed(
        self, chosen: Iterable[tuple[str, str | None, str | None]], mode: Literal["auto", "required"]
    ) -> tuple[ToolChoice, tuple[ToolSpec, ...]]:
        """Restrict the choice to some tools, each given by (type, name, namespace).

        Raises:
            ValidationFailed: a function or custom tool is unknown.
            UnsupportedParameter: a call is required, but none of the tools can be called here.
        """
        allowed_names: set[str] = set()
        for kind, name, namespace in chosen:
            if is_hosted(kind):
                continue
            if kind == "namespace":
                allowed_names |= {tool.spec.name for tool in self.tools if tool.namespace == name}
                continue
            match = None
            if name is not None:
                match = self.find(name, kind, namespace) or self.find_unique(name, kind)
            if match is None:
                raise ValidationFailed("tool_choice names an unknown tool.", param="tool_choice.tools")
            allowed_names.add(match.spec.name)
        offered = tuple(tool.spec for tool in self.tools if tool.spec.name in allowed_names)
        if mode == "required" and not offered:
            raise UnsupportedParameter(
                "None of the allowed tools is available here.", param="tool_choice.tools"
            )
        return ToolChoice(mode if offered else "auto"), offered

    def model_name(self, name: str, kind: str, namespace: str | None = None) -> str:
        """Return the function name for a tool, even if the tool is no longer offered."""
        tool = self.find(name, kind, namespace)
        return tool.spec.name if tool is not None else name


def is_hosted(kind: str) -> bool:
    """Return whether OpenAI runs tools of this type.

    Versions add a date or `_preview`.
    """
    return any(
        kind == name or kind.startswith((f"{name}_preview", f"{name}_20")) for name in _HOSTED_TYPES
    ) or (kind == "computer_use_preview")


def client_tools(declared: Sequence[Mapping[str, Any]]) -> ClientTools:
    """Parse the `tools` of a Responses body, including those in namespaces.

    OpenAI's hosted tools are ignored: the gateway cannot run them, and agents declare them by default.

    Raises:
        UnsupportedParameter, ValidationFailed: `param` is the path of the tool.
    """
    flattened: list[tuple[str | None, Mapping[str, Any], str]] = []
    web_search = False
    for index, tool in enumerate(declared):
        if tool["type"] == "namespace":
            inner = tool.get("tools") or ()
            flattened += [
                (tool.get("name"), inner_tool, f"tools.{index}.tools.{i}")
                for i, inner_tool in enumerate(inner)
            ]
        elif is_hosted(tool["type"]):
            web_search = web_search or tool["type"].startswith("web_search")
        else:
            flattened.append((None, tool, f"tools.{index}"))
    counts = Counter(tool.get("name") for _, tool, _ in flattened)
    tools: list[ClientTool] = []
    for namespace, tool, path in flattened:
        kind, name = tool["type"], tool.get("name")
        if kind not in ("function", "custom"):
            raise UnsupportedParameter("Tools of this type are not supported.", param=f"{path}.type")
        if name is None:
            raise ValidationFailed("A tool needs a name.", param=f"{path}.name")
        model_name = name if namespace is None or counts[name] == 1 else _qualified_name(namespace, name)
        tools.append(ClientTool(name, kind, _function_spec(model_name, kind, tool), namespace))
    return build_client_tools(tools, web_search=web_search)


def build_client_tools(tools: Iterable[ClientTool], *, web_search: bool = False) -> ClientTools:
    """Collect the tools, indexing those whose model name differs from the client's."""
    all_tools = tuple(tools)
    by_model = {t.spec.name: t for t in all_tools if t.kind == "custom" or t.namespace is not None}
    return ClientTools(all_tools, web_search, by_model)


def custom_spec(name: str, description: str | None, format_: Mapping[str, Any] | None) -> ToolSpec:
    """Return the function for a custom tool.

    Its one argument is the tool's free text.
    """
    input_description = "The tool's input, as plain text."
    grammar = (format_ or {}).get("grammar") or format_ or {}
    if isinstance(grammar, Mapping) and grammar.get("definition"):
        syntax = grammar.get("syntax") or "given"
        input_description += f" It must match this {syntax} grammar:\n{grammar['definition']}"
    schema = {
        "type": "object",
        "properties": {_INPUT_ARGUMENT: {"type": "string", "description": input_description}},
        "required": [_INPUT_ARGUMENT],
        "additionalProperties": False,
    }
    return ToolSpec(name, description or "", schema)


def custom_arguments(text: str) -> str:
    """Return the function arguments for a custom tool's input."""
    return orjson.dumps({_INPUT_ARGUMENT: text}).decode()


def custom_input(arguments: str) -> str:
    """Extract a custom tool's input from the arguments that a model wrote.

    If they do not follow the schema, the input is their only text, or else the whole string.
    """
    try:
        value = orjson.loads(arguments)
    except ValueError:
        return arguments
    if isinstance(value, str):
        return value
    if isinstance(value, dict):
        if isinstance(value.get(_INPUT_ARGUMENT), str):
            return str(value[_INPUT_ARGUMENT])
        if len(value) == 1 and isinstance(only := next(iter(value.values())), str):
            return only
        if not value:
            return ""
    return arguments


def custom_call(call_id: str, name: str, text: str) -> ToolCall:
    """Return a custom tool call as a call of its function."""
    return ToolCall(call_id, name, custom_arguments(text))


def _function_spec(name: str, kind: str, tool: Mapping[str, Any]) -> ToolSpec:
    if kind == "custom":
        return custom_spec(name, tool.get("description"), tool.get("format"))
    return ToolSpec(
        name,
        tool.get("description") or "",
        tool.get("parameters") or {"type": "object", "properties": {}},
        tool.get("strict"),
    )


def _qualified_name(namespace: str, name: str) -> str:
    """Return a unique name for one of several tools of the same name."""
    qualified = f"{namespace.rstrip('_')}__{name}"
    if len(qualified) <= _MAX_NAME_LENGTH:
        return qualified
    digest = hashlib.sha256(qualified.encode()).hexdigest()[:8]
    return f"{qualified[: _MAX_NAME_LENGTH - 9]}_{digest}"
