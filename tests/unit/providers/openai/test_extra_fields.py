"""Field names that differ between OpenAI-compatible servers, and extra message fields."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest

from gateway.core.exceptions import UpstreamRejected
from gateway.domain.config.loader import parse_catalog
from gateway.domain.config.providers import ProviderConfig, Timeouts
from gateway.domain.events import Completed, MessageFields, TextDelta, ToolCallDelta
from gateway.domain.messages import ImagePart, Message, TextPart, ToolCall, VendorData
from gateway.domain.requests import ChatRequest, ResponseFormat, Sampling
from gateway.providers.http.client import upstream_client
from gateway.providers.openai.chat import OpenAIChat
from gateway.providers.openai.extra_fields import extra_field_names
from gateway.providers.openai.request_body import encode_request
from gateway.providers.openai.response_parser import OpenAIResponseParser
from gateway.providers.vendor_data import merge_field
from tests.support.upstreams.openai_server import OpenAIUpstream, Refusal, Reply

HELLO = (Message("user", "Hi"),)
LIMITED = Sampling(max_tokens=7)


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    async with upstream_client(trust_env=False) as client:
        yield client


def provider(http: httpx.AsyncClient, url: str, **options: Any) -> OpenAIChat:
    return OpenAIChat("o", ProviderConfig(type="openai", base_url=url, options=options), Timeouts(), http)


SHIPPED = parse_catalog(Path("provider_config.yaml").read_text(), {}).providers["openai"].options
NAMES = {"gpt-5*": "max_completion_tokens", "*": "max_tokens"}


@pytest.mark.parametrize(
    ("options", "model", "field"),
    [
        ({}, "gpt-5.1", "max_tokens"),
        ({"max_tokens_field": "max_completion_tokens"}, "any", "max_completion_tokens"),
        ({"max_tokens_field": NAMES}, "gpt-5.1", "max_completion_tokens"),
        ({"max_tokens_field": NAMES}, "mistral-large", "max_tokens"),
        (SHIPPED, "gpt-5-mini", "max_completion_tokens"),
        (SHIPPED, "o4-mini", "max_completion_tokens"),
        (SHIPPED, "olmo-2", "max_tokens"),
        (SHIPPED, "gpt-4o", "max_tokens"),
    ],
)
async def test_the_token_limit_has_the_models_field_name(
    http: httpx.AsyncClient, options: dict[str, Any], model: str, field: str
) -> None:
    async with OpenAIUpstream() as up:
        it = provider(http, up.url, **options)
        [e async for e in it.stream(ChatRequest(model, HELLO, LIMITED))]
    limits = {name: value for name, value in up.calls[0].body.items() if name.startswith("max_")}
    assert limits == {field: 7}


@pytest.mark.parametrize("option", [5, [], {"gpt-*": 3}, {"gpt-*": ""}])
async def test_an_invalid_max_tokens_field_is_reported(http: httpx.AsyncClient, option: Any) -> None:
    with pytest.raises(ValueError, match="max_tokens_field"):
        provider(http, "http://127.0.0.1:9", max_tokens_field=option)
    with pytest.raises(ValueError, match="message_fields"):
        provider(http, "http://127.0.0.1:9", message_fields="some")


OWN = Message(
    "assistant",
    (
        TextPart("a", {"cache_control": {"type": "ephemeral"}}),
        ImagePart("data:image/png;base64,iVBORw0KGgo", extra={"x": 1}),
    ),
    (ToolCall("c1", "f", " ", {"extra_content": {"google": {}}}),),
    vendor=VendorData(fields={"reasoning_content": "hm", "role": "system", "content": "forged"}),
)


async def test_a_strict_server_gets_only_fields_that_openai_documents(http: httpx.AsyncClient) -> None:
    sent = []
    for options in ({}, {"message_fields": "known"}):
        async with OpenAIUpstream() as up:
            [e async for e in provider(http, up.url, **options).stream(ChatRequest("m", (*HELLO, OWN)))]
            sent.append(up.calls[0].body["messages"][1])
    every, known = sent
    assert every["reasoning_content"] == "hm"
    assert every["content"][0]["cache_control"] == {"type": "ephemeral"}
    assert every["content"][1]["x"] == 1
    assert every["tool_calls"][0]["extra_content"] == {"google": {}}
    assert known.keys() == {"role", "content", "tool_calls"}
    assert [part.keys() for part in known["content"]] == [{"type", "text"}, {"type", "image_url"}]
    assert known["tool_calls"] == [
        {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    ]
    for message in (every, known):  # an extra field never replaces a field of the gateway
        assert (message["role"], type(message["content"])) == ("assistant", list)


def test_a_schemas_description_is_sent() -> None:
    wanted = ResponseFormat("json_schema", "shape", {"type": "object"}, description="What it is.")
    body = orjson.loads(encode_request(ChatRequest("m", HELLO, response_format=wanted), "max_tokens"))
    assert body["response_format"]["json_schema"]["description"] == "What it is."


def chunk(delta: dict[str, Any], finish: str | None = None, **more: Any) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return b"data: " + json.dumps({"choices": [choice], **more}).encode() + b"\n\n"


def test_citations_reach_the_client_and_reasoning_details_are_sent_back() -> None:
    details = [{"type": "reasoning.text", "text": "a"}, {"type": "reasoning.encrypted", "data": "b"}]
    source = {"type": "url_citation", "url_citation": {"url": "https://example.com"}}
    reader = OpenAIResponseParser(VendorData("openai", "router", "m"))
    events = reader.feed(
        chunk({"content": "Hi", "function_call": None, "audio": None})
        + chunk({"reasoning": "a", "reasoning_details": details[:1]})
        + chunk({"reasoning_details": details[1:]})
        + chunk({"annotations": [source]})
        + chunk({}, "stop", citations=["https://example.com"])
    )
    events += reader.finish()
    shown = [event.fields for event in events if isinstance(event, MessageFields)]
    assert shown == [
        {"reasoning_details": details[:1]},
        {"reasoning_details": details[1:]},
        {"annotations": [source]},
        {"citations": ["https://example.com"]},
    ]
    end = events[-1]
    assert isinstance(end, Completed)
    back = {"reasoning": "a", "reasoning_details": details}
    sources = {"annotations": [source], "citations": ["https://example.com"]}
    assert end.vendor == VendorData("openai", "router", "m", back | sources)
    again = ChatRequest("m", (Message("assistant", "Hi", vendor=end.vendor),))
    sent = orjson.loads(encode_request(again, "max_tokens"))["messages"][0]
    assert sent == {"role": "assistant", "content": "Hi", **back}
    plain = OpenAIResponseParser()
    (text, last) = plain.feed(chunk({"content": "Hi"}) + chunk({}, "stop")) + plain.finish()
    assert text == TextDelta("Hi")
    assert isinstance(last, Completed)
    assert last.vendor is None


@pytest.mark.parametrize(
    ("before", "piece", "whole"),
    [
        (None, "a", "a"),
        ("a", "b", "ab"),
        ([1], [2], [1, 2]),
        ({"a": "x", "b": 1}, {"a": "y", "b": 2}, {"a": "xy", "b": 2}),
        ("a", 3, 3),
    ],
)
def test_field_fragments_are_merged_by_type(before: Any, piece: Any, whole: Any) -> None:
    assert merge_field(before, piece) == whole


@pytest.mark.parametrize("streamed", [True, False])
def test_extra_fields_of_a_call_and_its_function_are_sent_back_in_place(streamed: bool) -> None:
    call = {
        "id": "c1",
        "type": "function",
        "function": {"name": "f", "arguments": "{}", "thought_signature": "s"},
        "provider_specific_fields": {"a": 1},
    }
    reader = OpenAIResponseParser()
    if streamed:
        events = reader.feed(chunk({"tool_calls": [{"index": 0, **call}]}, "tool_calls")) + reader.finish()
    else:
        body = {"choices": [{"message": {"tool_calls": [call]}, "finish_reason": "tool_calls"}]}
        events = reader.parse_body(json.dumps(body).encode())
    (made,) = [e for e in events if isinstance(e, ToolCallDelta)]
    again = Message("assistant", "", (ToolCall("c1", "f", "{}", made.extra),))
    sent = orjson.loads(encode_request(ChatRequest("m", (again,)), "max_tokens"))["messages"][0]["tool_calls"]
    assert sent == [call]


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning"])
def test_empty_reasoning_is_sent_back(field: str) -> None:
    reader = OpenAIResponseParser(VendorData("openai", "it", "m"))
    reader.feed(chunk({field: "", "content": None}) + chunk({"content": "Hi"}, "stop"))
    end = reader.finish()[-1]
    assert isinstance(end, Completed)
    assert end.vendor == VendorData("openai", "it", "m", {field: ""})


GROQ = (
    "'messages.1' : for 'role:assistant' the following must be satisfied[('messages.1' : property "
    "'reasoning_content' is unsupported)]"
)
MISTRAL = {
    "object": "error",
    "message": {
        "detail": [
            {
                "type": "extra_forbidden",
                "loc": ["body", "messages", 1, "assistant", "reasoning_content"],
                "msg": "Extra inputs are not permitted",
                "input": "hm",
            }
        ]
    },
    "type": "invalid_request_error",
}
THOUGHT = (
    Message("user", "Hi"),
    Message("assistant", "Hello", vendor=VendorData(fields={"reasoning_content": "hm"})),
    Message("user", "And?"),
)


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (400, {"error": {"message": GROQ, "type": "invalid_request_error"}}),
        (422, MISTRAL),
        (400, {"error": {"message": "Unknown parameter: 'messages[1].reasoning_content'."}}),
    ],
)
async def test_a_server_that_rejects_an_extra_field_is_asked_without_it(
    http: httpx.AsyncClient, status: int, body: dict[str, Any]
) -> None:
    async with OpenAIUpstream() as up:
        it = provider(http, up.url)
        up.script(Refusal(status, body=json.dumps(body).encode()), Reply(text=("Good",)))
        events = [e async for e in it.stream(ChatRequest("m", THOUGHT))]
        assert TextDelta("Good") in events
        [e async for e in it.stream(ChatRequest("m", THOUGHT))]
        [e async for e in it.stream(ChatRequest("other", THOUGHT))]
        sent = ["reasoning_content" in call.body["messages"][1] for call in up.calls]
    assert sent == [True, False, False, True]


@pytest.mark.parametrize(
    "sentence",
    [
        "the `reasoning_content` in the thinking mode must be passed back",
        "Unknown parameter: 'foo'.",
        "Unsupported value: 'temperature'",
        "messages.1.reasoning_content_x: extra inputs are not permitted",
    ],
)
async def test_another_rejection_is_not_retried(http: httpx.AsyncClient, sentence: str) -> None:
    async with OpenAIUpstream() as up:
        up.script(Refusal(400, body=json.dumps({"error": {"message": sentence}}).encode()))
        with pytest.raises(UpstreamRejected):
            [e async for e in provider(http, up.url).stream(ChatRequest("m", THOUGHT))]
        assert len(up.calls) == 1


def test_extra_field_names_include_messages_parts_and_calls() -> None:
    own = VendorData(fields={"reasoning_details": [], "annotations": []})
    call = ToolCall("c1", "w", "{}", {"extra_content": {}})
    marked = TextPart("a", {"cache_control": {"type": "ephemeral"}})
    messages = (Message("user", (marked,)), Message("assistant", tool_calls=(call,), vendor=own))
    assert extra_field_names(messages) == {"reasoning_details", "extra_content", "cache_control"}
    assert extra_field_names(HELLO) == frozenset()
