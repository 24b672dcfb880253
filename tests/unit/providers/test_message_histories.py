"""Histories that OpenAI's API accepts, as they are encoded for each vendor."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gateway.core.exceptions import UnsupportedParameter
from gateway.domain.messages import ImagePart, Message, TextPart, ToolCall
from gateway.domain.requests import ChatRequest, ToolSpec
from gateway.providers.anthropic import request_body as anthropic_body
from gateway.providers.gemini import request_body as gemini_body
from gateway.providers.openai import request_body as openai_body
from gateway.providers.request_params import reject_openai_params
from gateway.providers.tool_schema import flatten_object_schema
from tests.support.upstreams.anthropic_rules import validation_error

USER, SYSTEM = Message("user", "Hi"), Message("system", "Write a poem.")
PNG = "data:image/png;base64,iVBORw0KGgo="


def anthropic(*messages: Message, **more: Any) -> dict[str, Any]:
    request = ChatRequest("claude-haiku-4-5", messages, **more)
    body: dict[str, Any] = json.loads(anthropic_body.encode_request(request, {}))
    assert validation_error(body) is None
    return body


def gemini(*messages: Message) -> dict[str, Any]:
    return gemini_body.body_overrides(ChatRequest("gemini-3-pro", messages), sign_unsigned_calls=True)


def openai(*messages: Message, known_only: bool = False, **more: Any) -> dict[str, Any]:
    request = ChatRequest("gpt-5.1", messages, **more)
    body: dict[str, Any] = json.loads(
        openai_body.encode_request(request, "max_tokens", known_fields_only=known_only)
    )
    return body


@pytest.mark.parametrize(
    ("messages", "asked"),
    [
        ((SYSTEM,), "Write a poem."),
        ((SYSTEM, Message("user", "")), "Write a poem."),
        ((Message("user", ""),), "…"),
        ((Message("user", (TextPart(""),)), Message("assistant", "")), "…"),
        ((Message("system", ""),), "…"),
    ],
)
def test_a_conversation_without_text_still_has_a_user_message(
    messages: tuple[Message, ...], asked: str
) -> None:
    body = anthropic(*messages)
    assert body["messages"] == [{"role": "user", "content": asked}]
    assert "system" not in body
    content = gemini(*messages)
    assert content["contents"] == [{"role": "user", "parts": [{"text": asked}]}]
    assert content["systemInstruction"] is None


def test_a_blank_system_message_is_left_out() -> None:
    assert "system" not in anthropic(Message("system", " \n"), USER)


def round_of(call_id: str, *results: str) -> list[Message]:
    calls = tuple(ToolCall(call_id, "w", "{}") for _ in results)
    return [
        Message("assistant", tool_calls=calls),
        *(Message("tool", result, tool_call_id=call_id) for result in results),
    ]


def test_repeated_call_ids_are_made_unique_for_anthropic() -> None:
    history = [USER, *round_of("0", "a"), USER, *round_of("0", "b", "c"), USER, *round_of("0_2", "d")]
    contents = [message["content"] for message in anthropic(*history)["messages"]]
    blocks = [block for content in contents if isinstance(content, list) for block in content]
    calls = [block["id"] for block in blocks if block["type"] == "tool_use"]
    results = {block["tool_use_id"]: block["content"] for block in blocks if block["type"] == "tool_result"}
    assert len(set(calls)) == 4
    assert [results[call] for call in calls] == ["a", "b", "c", "d"]


def test_many_calls_with_one_id_are_encoded_quickly() -> None:
    history = [USER, *(message for _ in range(3000) for message in round_of("0", "a"))]
    written = anthropic(*history)["messages"]
    assert len({message["content"][0]["id"] for message in written[1::2]}) == 3000


SHOT = Message("tool", (TextPart("A shot"), ImagePart(PNG)), tool_call_id="c1")
PLAIN = Message("tool", "42", tool_call_id="c2")
TWO = Message("assistant", tool_calls=(ToolCall("c1", "look", "{}"), ToolCall("c2", "sum", "{}")))


def test_images_of_tool_results_follow_the_results_for_openai() -> None:
    *_, shot, plain, shown, question = openai(USER, TWO, SHOT, PLAIN, USER)["messages"]
    assert (shot["content"], plain["content"], question["content"]) == ("A shot", "42", "Hi")
    assert shown["role"] == "user"
    assert [part["type"] for part in shown["content"]] == ["text", "image_url"]
    only = Message("tool", (ImagePart(PNG),), tool_call_id="c1")
    *_, alone, last = openai(USER, TWO, PLAIN, only)["messages"]
    assert alone["content"]
    assert last["content"][1]["image_url"]["url"] == PNG


def test_images_of_tool_results_follow_the_result_part_for_gemini() -> None:
    parts = gemini(USER, TWO, SHOT, PLAIN, USER)["contents"][-1]["parts"]
    assert [next(iter(part)) for part in parts] == [
        "functionResponse",
        "functionResponse",
        "inlineData",
        "text",
    ]


def test_long_call_ids_are_shortened_for_openai() -> None:
    long = "call_" + "x" * 90
    history = [USER, *round_of(long, "a"), *round_of("c2", "b")]
    calls = openai(*history, known_only=True)["messages"]
    assert len(calls[1]["tool_calls"][0]["id"]) <= 40
    assert calls[1]["tool_calls"][0]["id"] == calls[2]["tool_call_id"]
    assert calls[3]["tool_calls"][0]["id"] == "c2"
    assert openai(*history)["messages"][2]["tool_call_id"] == long


A, B = {"type": "string"}, {"type": "integer"}
EITHER = [
    {"type": "object", "properties": {"a": A, "k": {"const": 1}}, "required": ["k", "a"]},
    {"type": "object", "properties": {"b": B, "k": {"const": 2}}, "required": ["k"]},
]
DEFS = {"$defs": {"T": {"type": "object", "properties": {"a": A}, "required": ["a"], "description": "d"}}}


@pytest.mark.parametrize(
    ("given", "properties", "required"),
    [
        ({"anyOf": EITHER}, {"a": A, "b": B, "k": {"anyOf": [{"const": 1}, {"const": 2}]}}, ["k"]),
        ({"oneOf": EITHER, "properties": {"k": B}}, {"a": A, "b": B, "k": B}, ["k"]),
        ({"allOf": [EITHER[0], {"properties": {"c": A}}]}, {"a": A, "k": {"const": 1}, "c": A}, ["a", "k"]),
        ({"$ref": "#/$defs/T", **DEFS}, {"a": A}, ["a"]),
        ({"allOf": [{"$ref": "#/$defs/T"}], **DEFS}, {"a": A}, ["a"]),
        ({"$ref": "https://example.org/schema"}, {}, None),
        ({"$ref": "#/$defs/R", "$defs": {"R": {"$ref": "#/$defs/R"}}}, {}, None),
        ({"anyOf": [True, 5, None]}, {}, None),
        ({"$ref": "#/$defs/M", "$defs": {"M": {"anyOf": [{"$ref": "#/$defs/M"}] * 40}}}, {}, None),
        ({"anyOf": [{"properties": {"a": A}}] * 5000}, {"a": A}, None),
        ({"anyOf": "x", "properties": []}, {}, None),
    ],
)
def test_top_level_variants_become_one_object(
    given: dict[str, Any], properties: dict[str, Any], required: list[str] | None
) -> None:
    schema = flatten_object_schema(given)
    assert schema["type"] == "object"
    assert schema["properties"] == properties
    assert schema.get("required") == required
    assert not {"anyOf", "oneOf", "allOf", "$ref"} & schema.keys()


@pytest.mark.parametrize("given", [{}, {"type": None}, {"type": ["object", "null"]}, {"type": "object"}])
def test_a_tool_schema_is_an_object(given: dict[str, Any]) -> None:
    assert flatten_object_schema({**given, "properties": {"a": A}}) == {
        "type": "object",
        "properties": {"a": A},
    }


def test_the_schema_is_flattened_for_vendors_that_require_it() -> None:
    tools = (ToolSpec("w", "", {"anyOf": EITHER}),)
    assert "anyOf" not in anthropic(USER, tools=tools)["tools"][0]["input_schema"]
    assert "anyOf" not in openai(USER, tools=tools, known_only=True)["tools"][0]["function"]["parameters"]
    assert openai(USER, tools=tools)["tools"][0]["function"]["parameters"] == {"anyOf": EITHER}


@pytest.mark.parametrize("extra", [{"reasoning_effort": "none"}, {"verbosity": "medium"}, {"logit_bias": {}}])
def test_neutral_values_are_not_rejected(extra: dict[str, Any]) -> None:
    reject_openai_params(extra)


def test_an_unsupported_value_is_reported_by_name() -> None:
    with pytest.raises(UnsupportedParameter) as caught:
        reject_openai_params({"verbosity": "low"})
    assert caught.value.param == "verbosity"
