"""Ollama: each call states its context window, so that no prompt is truncated silently."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.domain.config.catalog import Catalog
from gateway.domain.config.loader import parse_catalog
from gateway.domain.config.providers import ProviderConfig, Timeouts
from gateway.domain.events import Completed, ToolCallDelta
from gateway.domain.messages import Message, ToolCall, VendorData
from gateway.domain.money import Usage
from gateway.domain.requests import ChatRequest
from gateway.providers.http.client import upstream_client
from gateway.providers.ollama.chat import OllamaChat
from tests.support.agent import make_turn, run_turn, running_agent
from tests.support.upstreams.http_server import Raw, Reply
from tests.support.upstreams.ollama_server import OllamaUpstream, read


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    async with upstream_client(trust_env=False) as client:
        yield client


def shipped(**environ: str) -> Catalog:
    return parse_catalog(Path("provider_config.yaml").read_text(), environ)


@pytest.mark.parametrize(
    ("environ", "windows"),
    [
        ({}, {"llama3.2:3b": 16384, "qwen2.5:7b": 16384}),
        ({"OLLAMA_NUM_CTX": "4096"}, {"llama3.2:3b": 4096, "qwen2.5:7b": 4096}),
        ({"OLLAMA_NUM_CTX": "262144"}, {"llama3.2:3b": 131072, "qwen2.5:7b": 32768}),
    ],
)
async def test_shipped_models_are_called_with_their_configured_context_window(
    http: httpx.AsyncClient, environ: dict[str, str], windows: dict[str, int]
) -> None:
    async with OllamaUpstream() as up:
        config = shipped(**environ, OLLAMA_URL=up.url)
        it = OllamaChat("ollama", config.providers["ollama"], Timeouts(), http)
        for name, window in windows.items():
            model = config.models[name]
            assert model.context_window == window
            request = ChatRequest(
                model.model, (Message("user", "Hi"),), context_window=model.context_window, stream=False
            )
            assert isinstance([e async for e in it.stream(request)][-1], Completed)
            assert up.calls[-1].body["options"] == {"num_ctx": window}
    assert config.models["claude-haiku-4-5"].context_window == 200_000


async def test_a_prompt_within_the_window_is_not_truncated(http: httpx.AsyncClient) -> None:
    async with OllamaUpstream() as up:
        up.script(Reply())
        config = shipped(OLLAMA_URL=up.url)
        async with running_agent(config) as agent:
            text = "The word is nightingale. " + "and so on " * 2500  # about 6,250 tokens
            await run_turn(agent, make_turn(text, model="llama3.2:3b"))
    assert "nightingale" in read(up.calls[0])


@pytest.mark.parametrize("window", [0, -1, "many", True, 1.5])
def test_an_invalid_num_ctx_is_reported(http: httpx.AsyncClient, window: Any) -> None:
    with pytest.raises(ValueError, match="num_ctx"):
        OllamaChat("o", ProviderConfig(type="ollama", options={"num_ctx": window}), Timeouts(), http)


async def test_reasoning_is_sent_back_with_its_tool_calls(http: httpx.AsyncClient) -> None:
    own = VendorData("ollama", "o", "m", {"reasoning_content": "hm"})
    calls = (ToolCall("c1", "f", '{"a": 1}'),)
    async with OllamaUpstream() as up:
        it = OllamaChat("o", ProviderConfig(type="ollama", base_url=up.url), Timeouts(), http)
        up.script(Reply(reasoning=("h", "m")))
        end = [e async for e in it.stream(ChatRequest("m", (Message("user", "Hi"),)))][-1]
        assert isinstance(end, Completed)
        assert end.vendor == own
        history = (
            Message("user", "Hi"),
            Message("assistant", "", calls, vendor=own),
            Message("tool", "x", tool_call_id="c1"),
        )
        [e async for e in it.stream(ChatRequest("m", history))]
    assert up.calls[1].body["messages"][1:] == [
        {
            "role": "assistant",
            "content": "",
            "tool_calls": [{"id": "c1", "function": {"name": "f", "arguments": {"a": 1}}}],
            "thinking": "hm",
        },
        {"role": "tool", "content": "x", "tool_name": "f", "tool_call_id": "c1"},
    ]


@pytest.mark.parametrize(
    "function",
    [
        {"name": "w", "arguments": '{"x": 1}'},
        {"name": "w", "arguments": None},
        {"name": "w"},
        {"name": "w", "arguments": "{bad"},
    ],
)
@pytest.mark.parametrize("stream", [True, False])
async def test_tool_calls_and_messages_in_other_forms_are_parsed(
    http: httpx.AsyncClient, function: dict[str, Any], stream: bool
) -> None:
    message = {"role": "assistant", "content": None, "tool_calls": [{"function": function}]}
    last = {"done": True, "done_reason": "stop", "prompt_eval_count": 5, "eval_count": 2}
    lines: list[dict[str, Any]] = [{"message": message}, last] if stream else [{"message": message, **last}]
    body = b"".join(json.dumps({"model": "m", **line}).encode() + b"\n" for line in lines)
    async with OllamaUpstream() as up:
        up.script(Raw([body], content_type="application/x-ndjson" if stream else "application/json"))
        it = OllamaChat("o", ProviderConfig(type="ollama", base_url=up.url), Timeouts(), http)
        request = ChatRequest("m", (Message("user", "Hi"),), stream=stream)
        events = [event async for event in it.stream(request)]
    arguments = "".join(event.arguments for event in events if isinstance(event, ToolCallDelta))
    assert json.loads(arguments) == {
        '{"x": 1}': {"x": 1},
        "{bad": {"arguments": "{bad"},
    }.get(str(function.get("arguments")), {})
    assert isinstance(events[-1], Completed)
    assert events[-1].usage == Usage(5, 2)
