"""Custom tools, namespaces and hosted tools as functions, and calls in their declared types."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from gateway.core.exceptions import UnsupportedParameter, ValidationFailed
from gateway.dialects.openai.client_tools import client_tools, custom_arguments, custom_input, is_hosted
from gateway.dialects.openai.responses.input import call_fields
from gateway.domain.messages import ToolCall

SEARCH: dict[str, Any] = {"type": "function", "name": "search", "parameters": {"type": "object"}}


@pytest.mark.parametrize(
    "kind",
    [
        *("web_search", "web_search_2025_08_26", "web_search_preview", "web_search_preview_2025_03_11"),
        *("file_search", "code_interpreter", "image_generation", "mcp", "tool_search", "computer"),
        *("computer_use_preview", "local_shell", "shell", "apply_patch"),
    ],
)
def test_hosted_tools_are_ignored(kind: str) -> None:
    tools = client_tools([{"type": kind}, SEARCH])
    assert is_hosted(kind)
    assert [spec.name for spec in tools.specs] == ["search"]
    assert tools.web_search == kind.startswith("web_search")


@pytest.mark.parametrize("kind", ["function", "custom", "teleport", "web_searching", "shells"])
def test_similar_types_are_not_hosted_tools(kind: str) -> None:
    assert not is_hosted(kind)


def test_a_tool_of_an_unknown_type_is_rejected_by_its_path() -> None:
    with pytest.raises(UnsupportedParameter) as refused:
        client_tools([SEARCH, {"type": "teleport", "name": "x"}])
    assert refused.value.param == "tools.1.type"


def test_a_tool_without_a_name_is_rejected_by_its_path() -> None:
    for given, param in (
        ([{"type": "custom"}], "tools.0.name"),
        ([{"type": "namespace", "name": "n", "tools": [{"type": "function"}]}], "tools.0.tools.0.name"),
    ):
        with pytest.raises(ValidationFailed) as refused:
            client_tools(given)
        assert refused.value.param == param


def test_tools_of_the_same_name_in_several_namespaces_are_distinguished() -> None:
    tools = client_tools(
        [
            SEARCH,
            {"type": "namespace", "name": "mcp__wiki__", "tools": [SEARCH, {**SEARCH, "name": "read"}]},
            {"type": "namespace", "name": "n" * 90, "tools": [SEARCH]},
        ]
    )
    names = [spec.name for spec in tools.specs]
    assert names[:3] == ["search", "mcp__wiki__search", "read"]
    assert len(set(names)) == 4
    assert max(map(len, names)) <= 64
    declared = [call_fields(ToolCall("c", name, "{}"), tools) for name in names]
    assert [(one["name"], one.get("namespace")) for one in declared] == [
        ("search", None),
        ("search", "mcp__wiki__"),
        ("read", "mcp__wiki__"),
        ("search", "n" * 90),
    ]
    # Calls are returned under the client's names and shown to the model under its own.
    for name, one in zip(names, declared, strict=True):
        assert tools.model_name(one["name"], "function", one.get("namespace")) == name


def test_a_custom_tools_grammar_is_described_to_the_model() -> None:
    form = {"type": "grammar", "syntax": "lark", "definition": "start: NAME"}
    chats = {"type": "grammar", "grammar": {"syntax": "lark", "definition": "start: NAME"}}
    for given in (form, chats):
        [spec] = client_tools([{"type": "custom", "name": "write", "format": given}]).specs
        about = spec.parameters["properties"]["input"]["description"]
        assert "lark" in about
        assert "start: NAME" in about
        assert spec.parameters["required"] == ["input"]
    for plain in (None, {"type": "text"}):
        [spec] = client_tools([{"type": "custom", "name": "write", "format": plain}]).specs
        assert "grammar" not in spec.parameters["properties"]["input"]["description"]


@pytest.mark.parametrize(
    ("arguments", "given"),
    [
        ('{"input": "a\\n\\"b\\""}', 'a\n"b"'),
        ('{"input": "한국어"}', "한국어"),
        ('{"patch": "only text"}', "only text"),
        ('"a bare text"', "a bare text"),
        ("{}", ""),
        ("no json at all", "no json at all"),
        ('{"input": {"deep": 1}}', '{"input": {"deep": 1}}'),
        ('{"a": "1", "b": "2"}', '{"a": "1", "b": "2"}'),
        ("[1]", "[1]"),
    ],
)
def test_a_custom_tools_input_is_extracted_from_the_models_arguments(arguments: str, given: str) -> None:
    assert custom_input(arguments) == given


@pytest.mark.parametrize("text", ["", 'quote " and \\ back', "two\nlines", "한국어 😀"])
def test_a_custom_tools_input_round_trips(text: str) -> None:
    arguments = custom_arguments(text)
    assert orjson.loads(arguments) == {"input": text}
    assert custom_input(arguments) == text


def test_tools_that_are_not_allowed_are_not_offered() -> None:
    tools = client_tools(
        [
            SEARCH,
            {"type": "custom", "name": "write"},
            {"type": "namespace", "name": "n", "tools": [{**SEARCH, "name": "read"}]},
        ]
    )
    choice, offered = tools.allowed([("custom", "write", None), ("web_search", None, None)], "required")
    assert (choice.mode, [spec.name for spec in offered]) == ("required", ["write"])
    choice, offered = tools.allowed([("namespace", "n", None), ("function", "search", None)], "auto")
    assert (choice.mode, [spec.name for spec in offered]) == ("auto", ["search", "read"])
    assert tools.allowed([("image_generation", None, None)], "auto")[1] == ()
    with pytest.raises(UnsupportedParameter):
        tools.allowed([("image_generation", None, None)], "required")
    with pytest.raises(ValidationFailed):
        tools.allowed([("function", "write", None)], "auto")
