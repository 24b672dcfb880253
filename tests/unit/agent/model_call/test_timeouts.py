"""Silence and total timeouts of calls, streamed or not, by provider."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest

from gateway.agent.model_call.timeouts import CallDeadline, CallTimeouts, timeouts_for
from gateway.core.exceptions import UpstreamTimeout
from gateway.domain.config.catalog import Catalog
from gateway.domain.config.environment import apply_environment
from gateway.domain.config.providers import ProviderConfig, Timeouts
from gateway.domain.events import ChatEvent, ProviderEvent, TextDelta, TurnCompleted, TurnFailed
from gateway.domain.messages import Message
from gateway.domain.requests import ChatRequest, Sampling
from gateway.providers.base import ChatProvider, activity_callback
from gateway.providers.registry import PROVIDER_TYPES, build_providers
from tests.support.agent import make_catalog, make_turn, run_turn, running_agent
from tests.support.upstreams.anthropic_server import AnthropicUpstream
from tests.support.upstreams.gemini_server import GeminiUpstream
from tests.support.upstreams.http_server import UpstreamServer
from tests.support.upstreams.ollama_server import OllamaUpstream
from tests.support.upstreams.openai_server import OpenAIUpstream, Reply, Silence, sse


def provider_of(data: dict[str, Any]) -> ChatProvider:
    value = {"providers": {"it": data.pop("provider")}, **data}
    config = Catalog.model_validate(value, context={"provider_types": PROVIDER_TYPES})
    return build_providers(config, httpx.AsyncClient(), "").chat["it"]


def request(*, stream: bool, max_tokens: int | None = None) -> ChatRequest:
    return ChatRequest("m", (Message("user", "Hi"),), sampling=Sampling(max_tokens=max_tokens), stream=stream)


def test_a_silent_stream_leaves_time_for_a_fallback_by_default() -> None:
    provider = provider_of({"provider": {"type": "openai", "base_url": "http://x/v1"}})
    assert timeouts_for(provider, request(stream=True)).silence <= 14
    assert timeouts_for(provider, request(stream=True)).total >= 900


@pytest.mark.parametrize(("max_tokens", "silence"), [(1, 10.04), (250, 20), (None, 70), (100_000, 180)])
def test_the_timeout_of_an_unstreamed_call_depends_on_its_answer_limit(
    max_tokens: int | None, silence: float
) -> None:
    provider = provider_of({"provider": {"type": "openai", "base_url": "http://x/v1"}})
    assert timeouts_for(provider, request(stream=False, max_tokens=max_tokens)).silence == silence


@pytest.mark.parametrize("kind", ["ollama", "local"])
def test_providers_that_load_models_have_longer_default_timeouts(kind: str) -> None:
    def first_token(**more: Any) -> float:
        provider = {"type": kind, "base_url": "http://x/v1", **more.pop("own", {})}
        return provider_of({"provider": provider, **more}).timeouts.first_token

    assert first_token() == 120
    assert first_token(timeouts={"first_token": 7}) == 7
    assert first_token(timeouts={"first_token": 7}, own={"timeouts": {"first_token": 33}}) == 33


def test_the_environment_variable_applies_to_every_provider() -> None:
    given = {"providers": {"it": {"type": "ollama", "timeouts": {"first_token": 120, "live": 600}}}}
    config = Catalog.model_validate(apply_environment(given, {"GATEWAY_REQUEST_TIMEOUT_SECONDS": "9"}))
    limits = config.timeouts_of(config.providers["it"])
    assert (limits.first_token, limits.live, limits.stream) == (9, 9, 9)


def test_timeouts_of_a_provider_do_not_affect_others() -> None:
    config = Catalog(timeouts=Timeouts(connect=3), providers={})
    own = ProviderConfig.model_validate({"type": "openai", "timeouts": {"live": 99}})
    assert config.timeouts_of(own) == Timeouts(connect=3, live=99)


def last_of(events: list[ChatEvent]) -> TurnCompleted | TurnFailed:
    last = events[-1]
    assert isinstance(last, TurnCompleted | TurnFailed)
    return last


QUICK = {"first_token": 0.2, "live": 30, "stream": 30}


async def test_a_silent_unstreamed_call_falls_back() -> None:
    async with OpenAIUpstream() as silent, OpenAIUpstream() as sound:
        silent.script(Silence())
        config = make_catalog(
            {"one": silent.url, "two": sound.url},
            fallbacks={"one": ["two"]},
            timeouts=QUICK,
            retry={"attempts": 3},
        )
        async with running_agent(config) as agent:
            last = last_of(await run_turn(agent, make_turn(model="one", stream=False)))
        assert len(silent.calls) == 1
    assert isinstance(last, TurnCompleted)
    assert last.answer.model == "two"
    reply = last.answer.receipt.attempts[0].upstream_reply
    assert reply is not None
    assert reply.reason.startswith("silent for")


def delta(content: str, finish: str | None = None) -> bytes:
    return sse({"choices": [{"index": 0, "delta": {"content": content}, "finish_reason": finish}]})


async def test_activity_extends_the_deadline_up_to_the_total() -> None:
    watch = CallDeadline(CallTimeouts(silence=50, total=120))
    loop = asyncio.get_running_loop()
    async with watch.timeout as limit:
        limit.reschedule(loop.time() + 1)
        watch.extend()
        moved = limit.when()
        assert moved is not None
        assert moved > loop.time() + 30
    late = CallDeadline(CallTimeouts(silence=500, total=120))
    async with late.timeout as limit:
        late.extend()
        end = limit.when()
        assert end is not None
        assert end <= loop.time() + 120


async def test_an_active_stream_is_not_cut_by_the_unstreamed_limit() -> None:
    async with OpenAIUpstream() as up:
        up.script(Reply(text=["word "] * 12, pause=0.1))
        config = make_catalog({"one": up.url}, timeouts={"first_token": 5, "live": 0.5, "stream": 30})
        async with running_agent(config) as agent:
            last = last_of(await run_turn(agent, make_turn(model="one")))
    assert isinstance(last, TurnCompleted), last
    assert last.answer.content == "word " * 12


async def test_a_stream_ends_at_its_own_limit() -> None:
    async with OpenAIUpstream() as up:
        up.script(Reply(text=["word "] * 100, pause=0.05))
        config = make_catalog({"one": up.url}, timeouts={"first_token": 5, "stream": 0.4})
        async with running_agent(config) as agent:
            last = last_of(await run_turn(agent, make_turn(model="one")))
        await asyncio.wait_for(up.calls[0].disconnected.wait(), 30)
    assert isinstance(last, TurnFailed)
    assert isinstance(last.error, UpstreamTimeout)
    assert last.answer is not None
    assert last.answer.content.startswith("word")


SIGNS = {
    "openai": [b": OPENROUTER PROCESSING\n\n", delta("")],
    "anthropic": [b'event: ping\ndata: {"type": "ping"}\n\n'],
    "gemini": [sse({"candidates": [{"content": {"role": "model", "parts": [{"text": ""}]}}]})],
    "ollama": [b'{"model": "m", "message": {"role": "assistant", "content": ""}, "done": false}\n'],
}
SERVERS: dict[str, type[UpstreamServer]] = {
    "openai": OpenAIUpstream,
    "anthropic": AnthropicUpstream,
    "gemini": GeminiUpstream,
    "ollama": OllamaUpstream,
}


@pytest.mark.parametrize("kind", list(SIGNS))
async def test_comments_pings_and_empty_deltas_count_as_activity(kind: str) -> None:
    alive: list[int] = []
    async with SERVERS[kind]() as up, httpx.AsyncClient() as http:
        frames = up.frames
        signs = SIGNS[kind] * 5
        up.frames = lambda reply, call: (signs + frames(reply, call)[0], frames(reply, call)[1])  # type: ignore[method-assign]
        up.script(Reply(pause=0.02))
        config = Catalog(providers={"it": ProviderConfig(type=kind, base_url=up.url, api_key="k")})
        provider = build_providers(config, http, "").chat["it"]
        token = activity_callback.set(lambda: alive.append(len(said)))
        said: list[ProviderEvent] = []
        try:
            async for event in provider.stream(request(stream=True)):
                if not isinstance(event, TextDelta) or event.text:
                    said.append(event)  # noqa: PERF401 - the callback reads it meanwhile
        finally:
            activity_callback.reset(token)
    assert alive.count(0) > 1, "the signs before the first word count"
    assert "".join(event.text for event in said if isinstance(event, TextDelta)) == "Hello, world!"
