"""A client's tools as functions, which every model can call, and calls in the kinds it declared."""

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
# OpenAI refuses longer names of functions.
_MAX_NAME_LENGTH = 64
_INPUT_ARGUMENT = "input"


@dataclass(frozen=True, slots=True)
class ClientTool:
    """A tool by the client's own name; `spec` is the function that the model is shown."""

    name: str
    kind: ToolKind
    spec: ToolSpec
    namespace: str | None = None


@dataclass(frozen=True, slots=True)
class ClientTools:
    """The tools of one request; `web_search` says whether OpenAI's own was among them."""

    tools: tuple[ClientTool, ...] = ()
    web_search: bool = False
    _renamed: Mapping[str, ClientTool] = field(default_factory=dict)

    @property
    def specs(self) -> tuple[ToolSpec, ...]:
        return tuple(tool.spec for tool in self.tools)

    def by_model_name(self, name: str) -> ClientTool | None:
        """The tool that a model's call of this name means; None for a plain function or an unknown name."""
        return self._renamed.get(name)

    def find(self, name: str, kind: str, namespace: str | None = None) -> ClientTool | None:
        """The tool by the client's own name for it."""
        return next(
            (t for t in self.tools if (t.name, t.kind, t.namespace) == (name, kind, namespace)),
            None,
        )

    def find_unique(self, name: str, kind: str) -> ClientTool | None:
        """The only tool of this kind and name, whatever its namespace."""
        matches = [tool for tool in self.tools if (tool.name, tool.kind) == (name, kind)]
        return matches[0] if len(matches) == 1 else None

    def allowed(
        self, chosen: Iterable[tuple[str, str | None, str | None]], mode: Literal["auto", "required"]
    ) -> tuple[ToolChoice, tuple[ToolSpec, ...]]:
        """The choice among some of the tools, each by (type, name, namespace); the others are not offered.

        Raises:
            ValidationFailed: a function or custom tool that is none of these.
            UnsupportedParameter: a tool has to be called, and none of those can be.
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
                raise ValidationFailed("tool_choice names none of the tools.", param="tool_choice.tools")
            allowed_names.add(match.spec.name)
        offered = tuple(tool.spec for tool in self.tools if tool.spec.name in allowed_names)
        if mode == "required" and not offered:
            raise UnsupportedParameter(
                "None of the allowed tools is offered here.", param="tool_choice.tools"
            )
        return ToolChoice(mode if offered else "auto"), offered

    def model_name(self, name: str, kind: str, namespace: str | None = None) -> str:
        """The name of the function that stands for a tool, also for one that is not offered any more."""
        tool = self.find(name, kind, namespace)
        return tool.spec.name if tool is not None else name


def is_hosted(kind: str) -> bool:
    """Whether a tool of this type is OpenAI's own; releases carry a date or `_preview`."""
    return any(
        kind == name or kind.startswith((f"{name}_preview", f"{name}_20")) for name in _HOSTED_TYPES
    ) or (kind == "computer_use_preview")


def client_tools(declared: Sequence[Mapping[str, Any]]) -> ClientTools:
    """The functions and custom tools of a Responses body's `tools`, those of namespaces among them.

    OpenAI's hosted tools are left out: the gateway cannot run them, and agents declare them by default.

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
            raise UnsupportedParameter("Tools of this type are not supported here.", param=f"{path}.type")
        if name is None:
            raise ValidationFailed("A tool needs its name.", param=f"{path}.name")
        model_name = name if namespace is None or counts[name] == 1 else _qualified_name(namespace, name)
        tools.append(ClientTool(name, kind, _function_spec(model_name, kind, tool), namespace))
    return build_client_tools(tools, web_search=web_search)


def build_client_tools(tools: Iterable[ClientTool], *, web_search: bool = False) -> ClientTools:
    """The tools, with those that a call's name has to be looked up for."""
    all_tools = tuple(tools)
    by_model = {t.spec.name: t for t in all_tools if t.kind == "custom" or t.namespace is not None}
    return ClientTools(all_tools, web_search, by_model)


def custom_spec(name: str, description: str | None, format_: Mapping[str, Any] | None) -> ToolSpec:
    """The function that stands for a custom tool: its one argument is the tool's free text."""
    input_description = "The tool's input, as plain text."
    grammar = (format_ or {}).get("grammar") or format_ or {}
    if isinstance(grammar, Mapping) and grammar.get("definition"):
        syntax = grammar.get("syntax") or "given"
        input_description += f" It has to match this {syntax} grammar:\n{grammar['definition']}"
    schema = {
        "type": "object",
        "properties": {_INPUT_ARGUMENT: {"type": "string", "description": input_description}},
        "required": [_INPUT_ARGUMENT],
        "additionalProperties": False,
    }
    return ToolSpec(name, description or "", schema)


def custom_arguments(text: str) -> str:
    """The arguments of the function for a custom tool's input."""
    return orjson.dumps({_INPUT_ARGUMENT: text}).decode()


def custom_input(arguments: str) -> str:
    """The input of a custom tool from the arguments that a model wrote.

    A model that did not keep to the schema has its only text, or else all that it wrote, taken for the input.
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
    """The call of a custom tool as a model's call of its function."""
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
    """A name for one of several tools of the same name."""
    qualified = f"{namespace.rstrip('_')}__{name}"
    if len(qualified) <= _MAX_NAME_LENGTH:
        return qualified
    digest = hashlib.sha256(qualified.encode()).hexdigest()[:8]
    return f"{qualified[: _MAX_NAME_LENGTH - 9]}_{digest}"
