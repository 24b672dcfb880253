"""Providers on LangChain packages, and the mistakes of their SDKs that the guard prevents."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.core.exceptions import UnsupportedParameter, UpstreamBroken, UpstreamUnavailable
from gateway.domain.config.providers import ProviderConfig, Timeouts
from gateway.domain.events import Completed, ProviderEvent, ReasoningDelta, TextDelta
from gateway.domain.messages import ImagePart, Message, TextPart
from gateway.domain.requests import ChatRequest, ResponseFormat, Sampling, ToolChoice, ToolSpec
from gateway.providers.anthropic.chat import AnthropicChat
from gateway.providers.base import ChatProvider
from gateway.providers.gemini.chat import GeminiChat
from gateway.providers.http.client import upstream_client
from gateway.providers.langchain.provider import LangChainChatProvider
from gateway.providers.ollama.chat import OllamaChat
from tests.support.upstreams.anthropic_server import AnthropicUpstream
from tests.support.upstreams.gemini_server import GeminiUpstream
from tests.support.upstreams.http_server import Raw, Reply, UpstreamServer
from tests.support.upstreams.ollama_server import OllamaUpstream

HELLO = (Message("user", "Hello"),)
KINDS: dict[str, tuple[type[ChatProvider], type[UpstreamServer]]] = {
    "ollama": (OllamaChat, OllamaUpstream),
    "anthropic": (AnthropicChat, AnthropicUpstream),
    "gemini": (GeminiChat, GeminiUpstream),
}


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    async with upstream_client(trust_env=False) as client:
        yield client


def build(kind: str, up: UpstreamServer, http: httpx.AsyncClient, **options: Any) -> ChatProvider:
    config = ProviderConfig(type=kind, base_url=up.url, api_key="k", options=options)  # type: ignore[arg-type]
    return KINDS[kind][0]("it", config, Timeouts(), http)


async def ask(provider: ChatProvider, **fields: Any) -> list[ProviderEvent]:
    request = ChatRequest("m", fields.pop("messages", HELLO), **fields)
    return [event async for event in provider.stream(request)]


@pytest.mark.parametrize("kind", sorted(KINDS))
async def test_no_sdk_fetches_an_address_or_reads_a_file_for_an_image(
    kind: str, http: httpx.AsyncClient, tmp_path: Path
) -> None:
    secret = tmp_path / "secret"
    secret.write_text("not for you")
    urls = [
        "https://example.com/cat.png",
        "http://127.0.0.1:9/",
        f"data:image/png;base64,{secret}",
        str(secret),
        f"file://{secret}",
        "data:text/plain;base64,aGk=",
        "data:image/png;base64," + base64.b64encode(b"no image").decode(),
    ]
    async with KINDS[kind][1]() as up:
        provider = build(kind, up, http)
        for url in urls:
            message = Message("user", (TextPart("see"), ImagePart(url)))
            with pytest.raises(UnsupportedParameter) as caught:
                await ask(provider, messages=(message,))
            assert url not in str(caught.value)
        assert up.calls == []


@pytest.mark.parametrize(
    ("kind", "fields", "param"),
    [
        ("ollama", {"logprobs": True}, "logprobs"),
        ("ollama", {"parallel_tool_calls": False}, "parallel_tool_calls"),
        ("ollama", {"tools": (ToolSpec("f", "", {}),), "tool_choice": ToolChoice("required")}, "tool_choice"),
        ("anthropic", {"logprobs": True}, "logprobs"),
        ("anthropic", {"sampling": Sampling(seed=0)}, "seed"),
        ("anthropic", {"sampling": Sampling(presence_penalty=1)}, "presence_penalty"),
        ("anthropic", {"response_format": ResponseFormat("json_object")}, "response_format"),
        ("gemini", {"logprobs": True}, "logprobs"),
        ("gemini", {"parallel_tool_calls": False}, "parallel_tool_calls"),
    ],
)
async def test_unsupported_parameters_are_reported_and_not_dropped(
    kind: str, fields: dict[str, Any], param: str, http: httpx.AsyncClient
) -> None:
    async with KINDS[kind][1]() as up:
        with pytest.raises(UnsupportedParameter) as caught:
            await ask(build(kind, up, http), **fields)
        assert caught.value.param == param
        assert up.calls == []


async def test_a_nested_tool_schema_reaches_ollama_unchanged(http: httpx.AsyncClient) -> None:
    parameters = {
        "type": "object",
        "properties": {"when": {"anyOf": [{"type": "integer", "minimum": 3}, {"type": "null"}]}},
    }
    async with OllamaUpstream() as up:
        await ask(build("ollama", up, http), tools=(ToolSpec("f", "does", parameters),))
    assert up.calls[0].body["tools"][0]["function"]["parameters"] == parameters


async def test_ollamas_options_are_merged_with_the_requests(http: httpx.AsyncClient) -> None:
    async with OllamaUpstream() as up:
        provider = build("ollama", up, http, num_ctx=4096, temperature=1.0, reasoning=False, keep_alive="5m")
        await ask(provider, sampling=Sampling(temperature=0.0, max_tokens=5))
    sent = up.calls[0].body
    assert sent["options"] == {"num_ctx": 4096, "temperature": 0.0, "num_predict": 5}
    assert sent["think"] is False
    assert sent["keep_alive"] == "5m"
    assert up.calls[0].headers["authorization"] == "Bearer k"


async def test_ollamas_thinking_is_yielded_even_if_not_requested(http: httpx.AsyncClient) -> None:
    async with OllamaUpstream() as up:
        up.script(Reply(reasoning=("hm",)))
        events = await ask(build("ollama", up, http))
    assert events[0] == ReasoningDelta("hm")
    assert "think" not in up.calls[0].body


async def test_an_ollama_response_that_only_loaded_the_model_is_broken(http: httpx.AsyncClient) -> None:
    line = b'{"model":"m","message":{"role":"assistant","content":""},"done":true,"done_reason":"load"}\n'
    async with OllamaUpstream() as up:
        up.script(Raw([line], content_type="application/x-ndjson"))
        with pytest.raises(UpstreamBroken):
            await ask(build("ollama", up, http))


async def test_an_anthropic_stream_without_its_last_event_is_broken(http: httpx.AsyncClient) -> None:
    async with AnthropicUpstream() as up:
        await ask(build("anthropic", up, http))
        content, end = up.frames(Reply(), up.calls[0])
        up.script(Raw([*content, *end[:-1]]))
        with pytest.raises(UpstreamBroken):
            await ask(build("anthropic", up, http))
        up.script(Raw([*content, end[-1]]))
        with pytest.raises(UpstreamBroken):
            await ask(build("anthropic", up, http))


@pytest.mark.parametrize("kind", ["anthropic", "gemini"])
async def test_system_messages_are_merged(kind: str, http: httpx.AsyncClient) -> None:
    history = (
        Message("system", "First rule."),
        Message("user", "Hello"),
        Message("assistant", "Hi"),
        Message("system", "Second rule."),
        Message("user", "Go on"),
    )
    async with KINDS[kind][1]() as up:
        await ask(build(kind, up, http), messages=history)
    assert "First rule.\\n\\nSecond rule." in up.calls[0].raw.decode()


async def test_anthropics_tool_choice_and_temperature_are_translated(http: httpx.AsyncClient) -> None:
    tools = (ToolSpec("f", "does", {"type": "object", "properties": {}}),)
    choices = {
        ToolChoice("required"): {"type": "any"},
        ToolChoice("none"): {"type": "none"},
        ToolChoice("function", "f"): {"type": "tool", "name": "f"},
    }
    async with AnthropicUpstream() as up:
        provider = build("anthropic", up, http)
        for choice in choices:
            await ask(provider, tools=tools, tool_choice=choice, sampling=Sampling(temperature=1.7))
        await ask(provider, tools=tools, parallel_tool_calls=False)
    assert [call.body["tool_choice"] for call in up.calls] == [
        *choices.values(),
        {"type": "auto", "disable_parallel_tool_use": True},
    ]
    assert up.calls[0].body["temperature"] == 1.0


@pytest.mark.parametrize("stream", [True, False])
async def test_a_prompt_blocked_by_gemini_is_a_content_filter_answer(
    http: httpx.AsyncClient, stream: bool
) -> None:
    body = b'{"promptFeedback": {"blockReason": "SAFETY"}}'
    raw = Raw([b"data: " + body + b"\r\n\r\n"]) if stream else Raw([body], "application/json")
    async with GeminiUpstream() as up:
        up.script(raw)
        events = await ask(build("gemini", up, http), stream=stream)
    assert not any(isinstance(event, TextDelta) for event in events)
    assert isinstance(events[-1], Completed)
    assert events[-1].finish_reason == "content_filter"


async def test_a_malformed_gemini_function_call_is_broken(http: httpx.AsyncClient) -> None:
    chunk = b'data: {"candidates": [{"index": 0, "finishReason": "MALFORMED_FUNCTION_CALL"}]}\r\n\r\n'
    async with GeminiUpstream() as up:
        up.script(Raw([chunk]))
        with pytest.raises(UpstreamBroken):
            await ask(build("gemini", up, http))


@pytest.mark.parametrize("kind", sorted(KINDS))
async def test_one_connection_and_one_client_serve_every_model(kind: str, http: httpx.AsyncClient) -> None:
    async with KINDS[kind][1]() as up:
        provider = build(kind, up, http)
        built: list[str] = []
        if isinstance(provider, LangChainChatProvider):
            build_model = provider.build_model
            object.__setattr__(provider, "build_model", lambda name: built.append(name) or build_model(name))
        for model in ("a", "b", "a"):
            request = ChatRequest(model, HELLO)
            assert [event async for event in provider.stream(request)]
        assert built == (["a", "b"] if isinstance(provider, LangChainChatProvider) else [])
        assert up.connections == 1


async def test_options_rejected_by_the_vendors_package_are_a_misconfiguration(
    http: httpx.AsyncClient,
) -> None:
    async with GeminiUpstream() as up:
        with pytest.raises(UpstreamUnavailable) as caught:
            await ask(build("gemini", up, http, top_p=5))
    assert "administrator" in str(caught.value)
