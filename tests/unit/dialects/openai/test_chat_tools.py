"""OpenAI's newer request bodies.

Custom tools, allowed tools, refusals, images, forwarded fields.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import httpx
import orjson
import pytest

from gateway.agent.model_call.request_builder import message_tokens
from gateway.core.exceptions import GatewayError, UnsupportedParameter, ValidationFailed
from gateway.dialects.openai.chat.request import parse_completion
from gateway.dialects.openai.chat.stream import ChatCompletionEncoder, completion_body
from gateway.dialects.openai.embeddings import parse_embeddings
from gateway.dialects.openai.responses.request import parse_response
from gateway.domain.caching.key import single_question
from gateway.domain.config.catalog import Catalog
from gateway.domain.config.providers import ProviderConfig
from gateway.domain.conversations.stored_messages import from_storage, to_storage
from gateway.domain.events import Answer, Receipt, TextDelta, ToolCallDelta, TurnCompleted
from gateway.domain.messages import ImagePart, ToolCall
from gateway.domain.money import Usage
from gateway.domain.requests import Turn
from gateway.providers.base import reject_raw_parts
from gateway.providers.registry import build_providers

LOOKUP: dict[str, Any] = {"type": "function", "function": {"name": "lookup"}}
GRAMMAR = {"type": "grammar", "grammar": {"syntax": "regex", "definition": "[a-z]+"}}
WRITE: dict[str, Any] = {"type": "custom", "custom": {"name": "write", "format": GRAMMAR}}
PNG = "data:image/png;base64,AAAA"


def parsed(**fields: Any) -> Turn:
    body = {"model": "m", "messages": [{"role": "user", "content": "Hi"}], **fields}
    return parse_completion(orjson.dumps(body), "req_1")[0]


def refused(**fields: Any) -> GatewayError:
    with pytest.raises((UnsupportedParameter, ValidationFailed)) as error:
        parsed(**fields)
    return error.value


def answer(*calls: ToolCall) -> Answer:
    return Answer(
        request_id="req_1",
        content="",
        status="complete",
        model="m",
        provider="p",
        finish_reason="tool_calls",
        created_at=datetime(2026, 1, 1, tzinfo=UTC),
        usage=Usage(100, 20, cached_tokens=64, reasoning_tokens=7),
        cost_usd=Decimal(0),
        receipt=Receipt("question", 0.0, "m", "m", ""),
        tool_calls=calls,
    )


def test_a_custom_tool_is_a_function_of_one_text() -> None:
    turn = parsed(tools=[LOOKUP, WRITE], tool_choice={"type": "custom", "custom": {"name": "write"}})
    assert [tool.name for tool in turn.client_tools] == ["lookup", "write"]
    assert "[a-z]+" in json.dumps(turn.client_tools[1].parameters)
    assert (turn.tool_choice.mode, turn.tool_choice.name) == ("function", "write")


def test_calls_of_custom_tools_come_back_as_calls_of_functions() -> None:
    calls = [
        {"id": "c1", "type": "custom", "custom": {"name": "write", "input": 'say "hi"'}},
        {"id": "c2", "type": "function", "function": {"name": "lookup", "arguments": "{}"}},
    ]
    messages = [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": None, "tool_calls": calls},
        {"role": "tool", "tool_call_id": "c1", "content": "ok"},
        {"role": "tool", "tool_call_id": "c2", "content": "ok"},
    ]
    turn = parsed(messages=messages, tools=[LOOKUP, WRITE])
    assert [(call.name, json.loads(call.arguments)) for call in turn.messages[1].tool_calls] == [
        ("write", {"input": 'say "hi"'}),
        ("lookup", {}),
    ]


def test_a_custom_call_is_encoded_as_text() -> None:
    made = answer(ToolCall("c1", "write", '{"input":"abc"}'), ToolCall("c2", "lookup", '{"q":1}'))
    body = completion_body(made, custom=frozenset({"write"}))
    assert body["choices"][0]["message"]["tool_calls"] == [
        {"id": "c1", "type": "custom", "custom": {"name": "write", "input": "abc"}},
        {"id": "c2", "type": "function", "function": {"name": "lookup", "arguments": '{"q":1}'}},
    ]


def test_a_streamed_custom_call_sends_its_text_at_the_end() -> None:
    encoder = ChatCompletionEncoder("req_1", include_usage=False, custom=frozenset({"write"}))
    frames = b""
    for event in (
        ToolCallDelta(0, "c1", "write", ""),
        ToolCallDelta(0, arguments='{"input":'),
        ToolCallDelta(1, "c2", "lookup", ""),
        ToolCallDelta(0, arguments='"abc"}'),
        ToolCallDelta(1, arguments="{}"),
        TurnCompleted(answer()),
    ):
        frames += encoder.encode(event) or b""
    chunks = [json.loads(line[6:]) for line in frames.decode().split("\n") if line.startswith("data: {")]
    calls = [call for c in chunks for call in c["choices"][0]["delta"].get("tool_calls", ())]
    assert calls == [
        {"index": 0, "id": "c1", "type": "custom", "custom": {"name": "write", "input": ""}},
        {"index": 1, "id": "c2", "type": "function", "function": {"name": "lookup", "arguments": ""}},
        {"index": 1, "function": {"arguments": "{}"}},
        {"index": 0, "custom": {"input": "abc"}},
    ]


def test_only_allowed_tools_are_offered() -> None:
    wanted = {"mode": "required", "tools": [{"type": "function", "function": {"name": "lookup"}}]}
    turn = parsed(tools=[LOOKUP, WRITE], tool_choice={"type": "allowed_tools", "allowed_tools": wanted})
    assert [tool.name for tool in turn.client_tools] == ["lookup"]
    assert turn.tool_choice.mode == "required"


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"tools": [{"type": "custom"}]}, "tools.0.custom"),
        ({"tools": [{"type": "function"}]}, "tools.0.function"),
        ({"tools": [{"type": "web_search"}]}, "tools.0.type"),
        ({"tools": [LOOKUP], "tool_choice": {"type": "custom", "custom": {"name": "lookup"}}}, "tool_choice"),
        ({"tools": [LOOKUP], "tool_choice": {"type": "function"}}, "tool_choice.function"),
        ({"tools": [LOOKUP], "tool_choice": {"type": "allowed_tools"}}, "tool_choice.allowed_tools"),
        (
            {
                "tools": [LOOKUP],
                "tool_choice": {
                    "type": "allowed_tools",
                    "allowed_tools": {
                        "mode": "auto",
                        "tools": [{"type": "function", "function": {"name": "x"}}],
                    },
                },
            },
            "tool_choice.tools",
        ),
        (
            {"messages": [{"role": "assistant", "tool_calls": [{"id": "c", "type": "custom"}]}]},
            "messages.0.tool_calls.0.custom",
        ),
        ({"messages": [{"role": "user", "content": None}]}, "messages.0.content"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": "x"}]}]}, None),
    ],
)
def test_incomplete_fields_are_named(fields: dict[str, Any], param: str | None) -> None:
    assert refused(**fields).param == (param or "messages.0.content.0.image_url.url")


@pytest.mark.parametrize(
    ("message", "said"),
    [
        ({"content": None, "refusal": "I cannot."}, "I cannot."),
        ({"content": "", "refusal": "I cannot."}, "I cannot."),
        ({"refusal": "I cannot."}, "I cannot."),
        ({"content": "Yes.", "refusal": None}, "Yes."),
        ({"content": [{"type": "refusal", "refusal": "No."}]}, "No."),
        ({"content": None}, ""),
        ({}, ""),
    ],
)
def test_an_assistants_refusal_can_be_sent_back(message: dict[str, Any], said: str) -> None:
    messages = [{"role": "user", "content": "Hi"}, {"role": "assistant", **message}]
    turn = parsed(messages=[*messages, {"role": "user", "content": "Why?"}])
    assert turn.messages[1].content == said
    assert turn.messages[1].vendor is None


@pytest.mark.parametrize(
    ("image", "detail"),
    [
        (PNG, "auto"),
        ({"url": PNG}, "auto"),
        ({"url": PNG, "detail": None}, "auto"),
        ({"url": PNG, "detail": "original"}, "original"),
        ({"url": PNG, "detail": "low"}, "low"),
    ],
)
def test_an_image_may_be_a_text_and_have_any_detail(image: Any, detail: str) -> None:
    turn = parsed(messages=[{"role": "user", "content": [{"type": "image_url", "image_url": image}]}])
    assert turn.messages[0].content == (ImagePart(PNG, detail),)


@pytest.mark.parametrize("detail", ["auto", "low", "high", "original", None])
def test_an_image_of_a_response_may_have_any_detail(detail: str | None) -> None:
    part = {"type": "input_image", "image_url": PNG, "detail": detail}
    body = {"model": "m", "input": [{"role": "user", "content": [part]}]}
    turn = parse_response(orjson.dumps(body), "req_1").turn
    assert turn.messages[0].content == (ImagePart(PNG, detail or "auto"),)


@pytest.mark.parametrize(
    "part",
    [
        {"type": "file", "file": {"file_data": "data:application/pdf;base64,AA==", "filename": "a.pdf"}},
        {"type": "input_audio", "input_audio": {"data": "AA==", "format": "wav"}},
    ],
)
def test_files_and_audio_are_separate_parts(part: dict[str, Any]) -> None:
    text = {"type": "text", "text": "What is it?"}
    [message] = parsed(messages=[{"role": "user", "content": [text, part]}]).messages
    [raw] = message.raw_parts
    assert {"type": raw.type, **raw.fields} == part
    assert raw.path == "messages.0.content.1.type"
    assert from_storage(to_storage([message])) == (message,)
    # Usage of a completion, without any other answer in the body.
    assert single_question([message]) is None
    question = parsed(messages=[{"role": "user", "content": "What is it?"}]).messages[0]
    assert message_tokens(message) > message_tokens(question)


@pytest.mark.parametrize(
    "part",
    [
        {"type": "file", "file": {"file_id": "file-1"}},  # belongs to the operator's account at the vendor
        {"type": "file", "file": {}},
        {"type": "file"},
        {"type": "input_audio", "input_audio": "AA=="},
        {"type": "video", "video": {"url": "https://example.com"}},
    ],
)
def test_a_part_without_content_is_rejected_by_its_path(part: dict[str, Any]) -> None:
    error = refused(messages=[{"role": "user", "content": [part]}])
    assert (error.code, error.param) == ("unsupported_parameter", "messages.0.content.0.type")


@pytest.mark.parametrize("kind", ["openai", "anthropic", "gemini", "ollama", "local", "mock"])
def test_a_provider_with_another_api_rejects_files_by_their_path(kind: str) -> None:
    settings = ProviderConfig(type=kind, base_url="http://localhost:1/v1", api_key="k")
    provider = build_providers(Catalog(providers={"p": settings}), httpx.AsyncClient(), "").chat["p"]
    part = {"type": "file", "file": {"file_data": "data:application/pdf;base64,AA=="}}
    messages = parsed(messages=[{"role": "user", "content": [part]}]).messages
    if kind == "openai":
        reject_raw_parts(provider, messages)
        return
    with pytest.raises(UnsupportedParameter) as error:
        reject_raw_parts(provider, messages)
    assert error.value.param == "messages.0.content.0.type"
    assert "file" in error.value.message


REDIRECTING = [
    *("api_base", "base_url", "api_key", "api_version", "models", "fallbacks", "headers", "extra_headers"),
    *("extra_body", "extra_query", "model_list", "user_config", "provider", "route", "organization"),
    *("custom_llm_provider", "aws_role_name", "vertex_credentials", "azure_ad_token", "litellm_params"),
    *("API_BASE", "Extra-Headers", "langfuse_host", "mock_response", "deployment_id", "proxy_server_request"),
]


@pytest.mark.parametrize("name", REDIRECTING)
def test_fields_that_redirect_a_proxy_are_not_forwarded(name: str) -> None:
    field = {name: "http://attacker.example"}
    assert parsed(**field).extra == {}
    body = orjson.dumps({"model": "m", "input": "Hi", **field})
    assert parse_response(body, "req_1").turn.extra == {}
    assert parse_embeddings(body)[1].extra == {}


def test_other_unknown_fields_are_forwarded() -> None:
    more = {"top_k": 5, "chat_template_kwargs": {"a": 1}, "prompt_cache_key": "k", "safety_identifier": "s"}
    assert parsed(**more, user="u", metadata={}, store=True).extra == more


def test_token_details_are_included_and_an_empty_fingerprint_is_not() -> None:
    body = completion_body(answer())
    assert body["usage"]["prompt_tokens_details"]["cached_tokens"] == 64
    assert body["usage"]["completion_tokens_details"] == {"reasoning_tokens": 7}
    encoder = ChatCompletionEncoder("req_1", include_usage=True)
    frames = (encoder.encode(TextDelta("Hi")) or b"") + (encoder.encode(TurnCompleted(answer())) or b"")
    assert b"system_fingerprint" not in frames
    assert "system_fingerprint" not in body
    assert b'"cached_tokens":64' in frames


@pytest.mark.parametrize(
    ("call", "arguments"),
    [
        ({"function": {"name": "w", "arguments": {"x": 1}}}, '{"x":1}'),
        ({"function": {"name": "w", "arguments": None}}, ""),
        ({"function": {"name": "w"}, "type": None, "custom": None}, ""),
        ({"function": {"name": "w", "arguments": "{bad"}, "index": 0}, "{bad"),
    ],
)
def test_calls_sent_back_in_other_forms_are_accepted(call: dict[str, Any], arguments: str) -> None:
    answer = {"role": "assistant", "tool_calls": [{"id": "c1", **call}]}
    turn = parsed(messages=[answer, {"role": "tool", "tool_call_id": "c1", "content": "1"}])
    assert turn.messages[0].tool_calls[0].arguments == arguments
    item = {"type": "function_call", "call_id": "c1", "name": "w", **call["function"]}
    body = {"model": "m", "input": [item, {"type": "function_call_output", "call_id": "c1", "output": "1"}]}
    made = parse_response(orjson.dumps(body), "req_1").turn.messages[0].tool_calls[0]
    assert made.arguments == (arguments or "{}")


@pytest.mark.parametrize(
    "fields",
    [
        {"functions": []},
        {"function_call": "none"},
        {"function_call": "auto"},
        {"top_logprobs": 0},
        {"functions": None, "modalities": None, "prediction": None, "enable_thinking": None},
        {"modalities": ["text"]},
        {"logprobs": False, "top_logprobs": 0},
    ],
)
def test_values_without_effect_are_accepted(fields: dict[str, Any]) -> None:
    assert parsed(**fields).extra.keys().isdisjoint(fields)


@pytest.mark.parametrize("url", ["HTTPS://Example.org/A.png", "Data:image/png;base64,AAAA", "http://x/y"])
def test_the_scheme_of_an_image_url_is_case_insensitive(url: str) -> None:
    chat = parsed(messages=[{"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}]}])
    body = {"model": "m", "input": [{"role": "user", "content": [{"type": "input_image", "image_url": url}]}]}
    response = parse_response(orjson.dumps(body), "req_1").turn
    head, _, rest = url.partition(":")
    for turn in (chat, response):
        content = turn.messages[0].content
        assert not isinstance(content, str)
        (image,) = content
        assert isinstance(image, ImagePart)
        assert image.url == f"{head.lower()}:{rest}"


def test_a_response_keeps_the_description_of_its_format() -> None:
    form = {"type": "json_schema", "name": "n", "schema": {"type": "object"}, "description": "What it is."}
    body = {"model": "m", "input": "Hi", "text": {"format": form}}
    wanted = parse_response(orjson.dumps(body), "req_1").turn.response_format
    assert wanted is not None
    assert wanted.description == "What it is."


def test_a_response_accepts_an_answer_without_content_and_a_hosted_call() -> None:
    items = [
        {"role": "user", "content": "Hi"},
        {"type": "message", "role": "assistant", "content": None},
        {
            "type": "mcp_call",
            "id": "mcp_1",
            "name": "n",
            "arguments": "{}",
            "server_label": "s",
            "output": "x",
        },
        {"role": "user", "content": "And?"},
    ]
    turn = parse_response(orjson.dumps({"model": "m", "input": items}), "req_1").turn
    assert [message.text for message in turn.messages] == ["Hi", "", "And?"]
