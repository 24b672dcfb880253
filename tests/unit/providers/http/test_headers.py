"""`options.headers` and the key are sent with every call of every provider, including health checks."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from gateway.domain.config.providers import ProviderConfig, Timeouts
from gateway.domain.embeddings import EmbeddingRequest
from gateway.domain.messages import Message
from gateway.domain.requests import ChatRequest
from gateway.providers.anthropic.chat import AnthropicChat
from gateway.providers.base import ChatProvider
from gateway.providers.gemini.chat import GeminiChat
from gateway.providers.http.client import upstream_client
from gateway.providers.ollama.chat import OllamaChat
from gateway.providers.ollama.embeddings import OllamaEmbeddings
from gateway.providers.openai.chat import OpenAIChat
from tests.support.upstreams.anthropic_server import AnthropicUpstream
from tests.support.upstreams.gemini_server import GeminiUpstream
from tests.support.upstreams.http_server import UpstreamServer
from tests.support.upstreams.ollama_server import OllamaUpstream
from tests.support.upstreams.openai_server import OpenAIUpstream

HELLO = (Message("user", "Hi"),)
KINDS: dict[str, tuple[type[ChatProvider], type[UpstreamServer], str]] = {
    "openai": (OpenAIChat, OpenAIUpstream, "authorization"),
    "anthropic": (AnthropicChat, AnthropicUpstream, "x-api-key"),
    "gemini": (GeminiChat, GeminiUpstream, "x-goog-api-key"),
    "ollama": (OllamaChat, OllamaUpstream, "authorization"),
}


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    async with upstream_client(trust_env=False) as client:
        yield client


def config(kind: str, url: str, **headers: str) -> ProviderConfig:
    return ProviderConfig(type=kind, base_url=url, api_key="secret-key", options={"headers": headers})


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("stream", [True, False])
async def test_configured_headers_are_sent_with_every_chat_call(
    http: httpx.AsyncClient, kind: str, stream: bool
) -> None:
    make, server, key = KINDS[kind]
    async with server() as up:
        it = make(kind, config(kind, up.url, **{"X-Tunnel": "abc"}), Timeouts(), http)
        [event async for event in it.stream(ChatRequest("m", HELLO, stream=stream))]
        assert (await it.check_health()).reachable
        for call in (*up.calls, *up.lookups):
            assert call.headers["x-tunnel"] == "abc"
            assert "secret-key" in call.headers[key]
        assert "abc" not in str(up.calls[0].body)


@pytest.mark.parametrize("kind", KINDS)
async def test_configured_headers_replace_the_providers_headers(http: httpx.AsyncClient, kind: str) -> None:
    make, server, key = KINDS[kind]
    async with server() as up:
        it = make(kind, config(kind, up.url, **{key.upper(): "Basic x"}), Timeouts(), http)
        [event async for event in it.stream(ChatRequest("m", HELLO))]
        assert up.calls[0].headers[key] == "Basic x"


@pytest.mark.parametrize("kind", KINDS)
def test_an_invalid_header_is_reported_by_name(http: httpx.AsyncClient, kind: str) -> None:
    with pytest.raises(ValueError, match="x-bad"):
        KINDS[kind][0](kind, config(kind, "http://127.0.0.1:9", **{"X-Bad": "a\nb"}), Timeouts(), http)


async def test_configured_headers_are_sent_with_ollamas_other_calls(http: httpx.AsyncClient) -> None:
    async with OllamaUpstream() as up:
        own: Any = config("ollama", up.url, **{"X-Tunnel": "abc"})
        await OllamaEmbeddings("o", own, Timeouts(), http).embed(EmbeddingRequest("m", ("Hi",)))
        await OllamaChat("o", own, Timeouts(), http).missing_models(["m"])
        calls = (*up.calls, *up.lookups)
        assert [call.headers["x-tunnel"] for call in calls] == ["abc", "abc"]
        assert [call.headers["authorization"] for call in calls] == ["Bearer secret-key"] * 2
