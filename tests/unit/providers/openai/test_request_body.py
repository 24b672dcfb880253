"""Request bodies for OpenAI and compatible servers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx
import orjson
import pytest

from gateway.core.exceptions import UpstreamRejected
from gateway.domain.config.providers import ProviderConfig, Timeouts
from gateway.domain.messages import ImagePart, Message, TextPart, ToolCall
from gateway.domain.requests import ChatRequest, ResponseFormat, Sampling, ToolChoice, ToolSpec
from gateway.providers.openai.chat import OpenAIChat
from gateway.providers.openai.request_body import encode_request
from tests.support.upstreams.openai_server import OpenAIUpstream

HELLO = (Message("user", "Hello"),)


def body(request: ChatRequest) -> dict[str, Any]:
    return dict(orjson.loads(encode_request(request, "max_tokens")))


def test_a_plain_streamed_request_has_no_more_than_usage_options() -> None:
    assert body(ChatRequest("m", HELLO)) == {
        "model": "m",
        "messages": [{"role": "user", "content": "Hello"}],
        "stream": True,
        "stream_options": {"include_usage": True},
    }


def test_every_parameter_has_its_field() -> None:
    sent = body(
        ChatRequest(
            "m",
            HELLO,
            Sampling(0.5, 0.9, 64, ("a", "b"), 7, 0.1, -0.1),
            tools=(ToolSpec("f", "does", {"type": "object"}, True),),
            tool_choice=ToolChoice("function", "f"),
            parallel_tool_calls=False,
            response_format=ResponseFormat("json_schema", "shape", {"type": "object"}, True),
            logprobs=True,
            top_logprobs=3,
            stream=False,
        )
    )
    assert sent == {
        "model": "m",
        "messages": [{"role": "user", "content": "Hello"}],
        "temperature": 0.5,
        "top_p": 0.9,
        "max_tokens": 64,
        "stop": ["a", "b"],
        "seed": 7,
        "presence_penalty": 0.1,
        "frequency_penalty": -0.1,
        "tools": [
            {
                "type": "function",
                "function": {
                    "name": "f",
                    "description": "does",
                    "parameters": {"type": "object"},
                    "strict": True,
                },
            }
        ],
        "tool_choice": {"type": "function", "function": {"name": "f"}},
        "parallel_tool_calls": False,
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "shape", "schema": {"type": "object"}, "strict": True},
        },
        "logprobs": True,
        "top_logprobs": 3,
        "stream": False,
    }


def test_messages_of_every_kind_keep_their_shape() -> None:
    history = (
        Message("user", (TextPart("see"), ImagePart("https://example.com/a.png", "low"))),
        Message("assistant", "", tool_calls=(ToolCall("c1", "f", '{"a":1}'),)),
        Message("tool", "done", tool_call_id="c1"),
    )
    image = {"type": "image_url", "image_url": {"url": "https://example.com/a.png", "detail": "low"}}
    call = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}}
    assert body(ChatRequest("m", history))["messages"] == [
        {"role": "user", "content": [{"type": "text", "text": "see"}, image]},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "content": "done", "tool_call_id": "c1"},
    ]


def test_extra_fields_are_passed_on_but_override_nothing() -> None:
    extra = {"top_k": 5, "model": "other", "stream": False, "stream_options": {"include_usage": False}}
    sent = body(ChatRequest("m", HELLO, extra=extra))
    assert sent["top_k"] == 5
    assert sent["model"] == "m"
    assert sent["stream"] is True
    assert sent["stream_options"] == {"include_usage": True}
    assert "stream_options" not in body(ChatRequest("m", HELLO, extra=extra, stream=False))


def test_text_that_json_cannot_represent_is_a_rejected_request() -> None:
    with pytest.raises(UpstreamRejected) as caught:
        encode_request(ChatRequest("m", (Message("user", "lone \ud800 surrogate"),)), "max_tokens")
    assert "lone" not in str(caught.value)


@pytest.mark.parametrize(
    ("base_url", "field"),
    [
        (None, "max_completion_tokens"),
        ("https://api.openai.com/v1", "max_completion_tokens"),
        ("http://127.0.0.1:9/v1", "max_tokens"),
    ],
)
async def test_the_token_limit_has_the_servers_field_name(base_url: str | None, field: str) -> None:
    sent: list[dict[str, Any]] = []

    async def whole() -> AsyncIterator[bytes]:
        yield b'{"choices": [{"message": {"content": "x"}, "finish_reason": "stop"}]}'

    def answer(request: httpx.Request) -> httpx.Response:
        sent.append(orjson.loads(request.content))
        return httpx.Response(200, content=whole())

    async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as http:
        config = ProviderConfig(type="openai", base_url=base_url, api_key="k")
        provider = OpenAIChat("it", config, Timeouts(), http)
        request = ChatRequest("m", HELLO, Sampling(max_tokens=9), stream=False)
        [event async for event in provider.stream(request)]
    assert sent[0][field] == 9


async def test_the_key_and_configured_headers_are_sent_and_nothing_is_compressed() -> None:
    async with OpenAIUpstream() as up, httpx.AsyncClient(trust_env=False) as http:
        config = ProviderConfig(
            type="openai", base_url=up.url, api_key="k", options={"headers": {"x-team": "blue"}}
        )
        provider = OpenAIChat("it", config, Timeouts(), http)
        [event async for event in provider.stream(ChatRequest("m", HELLO))]
    headers = up.calls[0].headers
    assert headers["authorization"] == "Bearer k"
    assert headers["x-team"] == "blue"
    assert headers["accept-encoding"] == "identity"
    assert headers["host"] == up.url.split("/")[2]
