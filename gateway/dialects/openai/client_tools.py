"""A client's tools as functions, which every model can call, and calls in the kinds it declared."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import orjson

from gateway.core.exceptions import UnsupportedParameter, ValidationFailed
from gateway.domain.chat import ToolChoice, ToolSpec
from gateway.domain.messages import ToolCall

Kind = Literal["function", "custom"]

# Tools that OpenAI runs itself, or that only its own models are trained to call.
_HOSTED = (
    *("web_search", "file_search", "code_interpreter", "image_generation", "mcp", "tool_search"),
    *("computer", "local_shell", "shell", "apply_patch", "programmatic_tool_calling"),
)
# OpenAI refuses longer names of functions.
_LONGEST_NAME = 64
_INPUT = "input"


@dataclass(frozen=True, slots=True)
class ClientTool:
    """A tool by the client's own name; `spec` is the function that the model is shown."""

    name: str
    kind: Kind
    spec: ToolSpec
    namespace: str | None = None


@dataclass(frozen=True, slots=True)
class ClientTools:
    """The tools of one request; `web_search` says whether OpenAI's own was among them."""

    tools: tuple[ClientTool, ...] = ()
    web_search: bool = False
    _by_model: Mapping[str, ClientTool] = field(default_factory=dict)

    @property
    def specs(self) -> tuple[ToolSpec, ...]:
        return tuple(tool.spec for tool in self.tools)

    def called(self, name: str) -> ClientTool | None:
        """The tool that a model's call of this name means; None for a plain function or an unknown name."""
        return self._by_model.get(name)

    def find(self, name: str, kind: str, namespace: str | None = None) -> ClientTool | None:
        """The tool by the client's own name for it."""
        return next(
            (t for t in self.tools if (t.name, t.kind, t.namespace) == (name, kind, namespace)),
            None,
        )

    def only(self, name: str, kind: str) -> ClientTool | None:
        """The only tool of this kind and name, whatever its namespace."""
        found = [tool for tool in self.tools if (tool.name, tool.kind) == (name, kind)]
        return found[0] if len(found) == 1 else None

    def allowed(
        self, chosen: Iterable[tuple[str, str | None, str | None]], mode: Literal["auto", "required"]
    ) -> tuple[ToolChoice, tuple[ToolSpec, ...]]:
        """The choice among some of the tools, each by (type, name, namespace); the others are not offered.

        Raises:
            ValidationFailed: a function or custom tool that is none of these.
            UnsupportedParameter: a tool has to be called, and none of those can be.
        """
        named: set[str] = set()
        for kind, name, namespace in chosen:
            if is_hosted(kind):
                continue
            if kind == "namespace":
                named |= {tool.spec.name for tool in self.tools if tool.namespace == name}
                continue
            found = None
            if name is not None:
                found = self.find(name, kind, namespace) or self.only(name, kind)
            if found is None:
                raise ValidationFailed("tool_choice names none of the tools.", param="tool_choice.tools")
            named.add(found.spec.name)
        offered = tuple(tool.spec for tool in self.tools if tool.spec.name in named)
        if mode == "required" and not offered:
            raise UnsupportedParameter(
                "None of the allowed tools is offered here.", param="tool_choice.tools"
            )
        return ToolChoice(mode if offered else "auto"), offered

    def model_name(self, name: str, kind: str, namespace: str | None = None) -> str:
        """The name of the function that stands for a tool, also for one that is not offered any more."""
        found = self.find(name, kind, namespace)
        return found.spec.name if found is not None else name


def is_hosted(kind: str) -> bool:
    """Whether a tool of this type is OpenAI's own; releases carry a date or `_preview`."""
    return any(kind == name or kind.startswith((f"{name}_preview", f"{name}_20")) for name in _HOSTED) or (
        kind == "computer_use_preview"
    )


def client_tools(given: Sequence[Mapping[str, Any]]) -> ClientTools:
    """The functions and custom tools of a Responses body's `tools`, those of namespaces among them.

    OpenAI's hosted tools are left out: the gateway cannot run them, and agents declare them by default.

    Raises:
        UnsupportedParameter, ValidationFailed: `param` is the path of the tool.
    """
    found: list[tuple[str | None, Mapping[str, Any], str]] = []
    web_search = False
    for at, tool in enumerate(given):
        if tool["type"] == "namespace":
            inner = tool.get("tools") or ()
            found += [(tool.get("name"), one, f"tools.{at}.tools.{i}") for i, one in enumerate(inner)]
        elif is_hosted(tool["type"]):
            web_search = web_search or tool["type"].startswith("web_search")
        else:
            found.append((None, tool, f"tools.{at}"))
    counts = Counter(tool.get("name") for _, tool, _ in found)
    made: list[ClientTool] = []
    for namespace, tool, path in found:
        kind, name = tool["type"], tool.get("name")
        if kind not in ("function", "custom"):
            raise UnsupportedParameter("Tools of this type are not supported here.", param=f"{path}.type")
        if name is None:
            raise ValidationFailed("A tool needs its name.", param=f"{path}.name")
        shown = name if namespace is None or counts[name] == 1 else _qualified(namespace, name)
        made.append(ClientTool(name, kind, _spec(shown, kind, tool), namespace))
    return collected(made, web_search=web_search)


def collected(tools: Iterable[ClientTool], *, web_search: bool = False) -> ClientTools:
    """The tools, with those that a call's name has to be looked up for."""
    made = tuple(tools)
    by_model = {t.spec.name: t for t in made if t.kind == "custom" or t.namespace is not None}
    return ClientTools(made, web_search, by_model)


def custom_spec(name: str, description: str | None, form: Mapping[str, Any] | None) -> ToolSpec:
    """The function that stands for a custom tool: its one argument is the tool's free text."""
    about = "The tool's input, as plain text."
    grammar = (form or {}).get("grammar") or form or {}
    if isinstance(grammar, Mapping) and grammar.get("definition"):
        syntax = grammar.get("syntax") or "given"
        about += f" It has to match this {syntax} grammar:\n{grammar['definition']}"
    schema = {
        "type": "object",
        "properties": {_INPUT: {"type": "string", "description": about}},
        "required": [_INPUT],
        "additionalProperties": False,
    }
    return ToolSpec(name, description or "", schema)


def custom_arguments(text: str) -> str:
    """The arguments of the function for a custom tool's input."""
    return orjson.dumps({_INPUT: text}).decode()


def custom_input(arguments: str) -> str:
    """The input of a custom tool from the arguments that a model wrote.

    A model that did not keep to the schema has its only text, or else all that it wrote, taken for the input.
    """
    try:
        read = orjson.loads(arguments)
    except ValueError:
        return arguments
    if isinstance(read, str):
        return read
    if isinstance(read, dict):
        if isinstance(read.get(_INPUT), str):
            return str(read[_INPUT])
        if len(read) == 1 and isinstance(only := next(iter(read.values())), str):
            return only
        if not read:
            return ""
    return arguments


def custom_call(call_id: str, name: str, text: str) -> ToolCall:
    """The call of a custom tool as a model's call of its function."""
    return ToolCall(call_id, name, custom_arguments(text))


def _spec(shown: str, kind: str, tool: Mapping[str, Any]) -> ToolSpec:
    if kind == "custom":
        return custom_spec(shown, tool.get("description"), tool.get("format"))
    return ToolSpec(
        shown,
        tool.get("description") or "",
        tool.get("parameters") or {"type": "object", "properties": {}},
        tool.get("strict"),
    )


def _qualified(namespace: str, name: str) -> str:
    """A name for one of several tools of the same name."""
    joined = f"{namespace.rstrip('_')}__{name}"
    if len(joined) <= _LONGEST_NAME:
        return joined
    digest = hashlib.sha256(joined.encode()).hexdigest()[:8]
    return f"{joined[: _LONGEST_NAME - 9]}_{digest}"
