"""`options.headers` and the key: with every call of every kind of provider, health checks among them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from gateway.domain.catalog import ProviderConfig, Timeouts
from gateway.domain.chat import ChatRequest
from gateway.domain.embeddings import EmbeddingRequest
from gateway.domain.messages import Message
from gateway.providers.chat.anthropic import AnthropicProvider
from gateway.providers.chat.base import ChatProvider
from gateway.providers.chat.gemini import GeminiProvider
from gateway.providers.chat.http_client import upstream_client
from gateway.providers.chat.ollama import OllamaProvider
from gateway.providers.chat.openai import OpenAIProvider
from gateway.providers.embedding.ollama import OllamaEmbeddings
from tests.upstreams.anthropic_server import AnthropicUpstream
from tests.upstreams.gemini_server import GeminiUpstream
from tests.upstreams.http_server import UpstreamServer
from tests.upstreams.ollama_server import OllamaUpstream
from tests.upstreams.openai_server import OpenAIUpstream

HELLO = (Message("user", "Hi"),)
KINDS: dict[str, tuple[type[ChatProvider], type[UpstreamServer], str]] = {
    "openai": (OpenAIProvider, OpenAIUpstream, "authorization"),
    "anthropic": (AnthropicProvider, AnthropicUpstream, "x-api-key"),
    "gemini": (GeminiProvider, GeminiUpstream, "x-goog-api-key"),
    "ollama": (OllamaProvider, OllamaUpstream, "authorization"),
}


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    async with upstream_client(trust_env=False) as client:
        yield client


def config(kind: str, url: str, **headers: str) -> ProviderConfig:
    return ProviderConfig(type=kind, base_url=url, api_key="secret-key", options={"headers": headers})


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("incremental", [True, False])
async def test_a_chat_provider_sends_them_with_every_call(
    http: httpx.AsyncClient, kind: str, incremental: bool
) -> None:
    make, server, key = KINDS[kind]
    async with server() as up:
        it = make(kind, config(kind, up.url, **{"X-Tunnel": "abc"}), Timeouts(), http)
        [event async for event in it.stream(ChatRequest("m", HELLO, incremental=incremental))]
        assert (await it.check()).reachable
        for call in (*up.calls, *up.lookups):
            assert call.headers["x-tunnel"] == "abc"
            assert "secret-key" in call.headers[key]
        assert "abc" not in str(up.calls[0].body)


@pytest.mark.parametrize("kind", KINDS)
async def test_they_replace_the_providers_own(http: httpx.AsyncClient, kind: str) -> None:
    make, server, key = KINDS[kind]
    async with server() as up:
        it = make(kind, config(kind, up.url, **{key.upper(): "Basic x"}), Timeouts(), http)
        [event async for event in it.stream(ChatRequest("m", HELLO))]
        assert up.calls[0].headers[key] == "Basic x"


@pytest.mark.parametrize("kind", KINDS)
def test_one_that_http_cannot_carry_is_named(http: httpx.AsyncClient, kind: str) -> None:
    with pytest.raises(ValueError, match="x-bad"):
        KINDS[kind][0](kind, config(kind, "http://127.0.0.1:9", **{"X-Bad": "a\nb"}), Timeouts(), http)


async def test_ollamas_other_calls_have_them(http: httpx.AsyncClient) -> None:
    async with OllamaUpstream() as up:
        own: Any = config("ollama", up.url, **{"X-Tunnel": "abc"})
        await OllamaEmbeddings("o", own, Timeouts(), http).embed(EmbeddingRequest("m", ("Hi",)))
        await OllamaProvider("o", own, Timeouts(), http).lacking(["m"])
        calls = (*up.calls, *up.lookups)
        assert [call.headers["x-tunnel"] for call in calls] == ["abc", "abc"]
        assert [call.headers["authorization"] for call in calls] == ["Bearer secret-key"] * 2
