"""Unreachable providers, model health, and waiting for the local model."""

from __future__ import annotations

import asyncio

import httpx
import pytest

from gateway.agent.routing.health import UnreachableProviders
from gateway.domain.circuit_breaker import BreakerState, ModelHealth, health_of
from gateway.domain.config.catalog import Catalog
from gateway.domain.config.providers import ProviderConfig
from gateway.domain.events import Answer, ChatEvent, ProviderEvent, RouteChosen, TurnCompleted
from gateway.domain.messages import Message
from gateway.domain.requests import ChatRequest
from gateway.providers.local import chat as local
from gateway.providers.registry import build_providers
from tests.support.agent import make_catalog, make_turn, run_turn, running_agent
from tests.support.upstreams.openai_server import OpenAIUpstream, Refusal, Reply


def answer_of(events: list[ChatEvent]) -> Answer:
    last = events[-1]
    assert isinstance(last, TurnCompleted), last
    return last.answer


async def test_auto_skips_an_unreachable_provider() -> None:
    async with OpenAIUpstream() as gone, OpenAIUpstream() as sound:
        config = make_catalog(
            {"one": gone.url, "two": sound.url},
            routing={"light": "one", "heavy": "one"},
            fallbacks={"one": ["two"]},
        )
        await gone.stop()
        async with running_agent(config) as agent:
            first = answer_of(await run_turn(agent, make_turn(model="auto")))
            events = await run_turn(agent, make_turn(model="auto"))
    assert [attempt.model for attempt in first.receipt.attempts] == ["one", "two"]
    second = answer_of(events)
    assert [attempt.model for attempt in second.receipt.attempts] == ["two"]
    assert [event.model for event in events if isinstance(event, RouteChosen)] == ["two"]


async def test_a_provider_marked_at_startup_is_not_called() -> None:
    async with OpenAIUpstream() as gone, OpenAIUpstream() as sound:
        config = make_catalog(
            {"one": gone.url, "two": sound.url},
            routing={"light": "one", "heavy": "one"},
            fallbacks={"one": ["two"]},
        )
        await gone.stop()
        async with running_agent(config) as agent:
            agent.resources.upstreams.unreachable.mark("one")
            answer = answer_of(await run_turn(agent, make_turn(model="auto")))
            assert [attempt.model for attempt in answer.receipt.attempts] == ["two"]
            named = answer_of(await run_turn(agent, make_turn(model="one")))
    assert [attempt.model for attempt in named.receipt.attempts] == ["one", "two"]


async def test_a_provider_that_is_reachable_again_is_called() -> None:
    async with OpenAIUpstream() as back:
        config = Catalog(providers={"one": ProviderConfig(type="openai", base_url=back.url)})
        async with httpx.AsyncClient() as http:
            away = UnreachableProviders(build_providers(config, http, "").all)
            away.mark("one")
            async with away.running():
                while "one" in away:  # noqa: ASYNC110 - it has no event for it
                    await asyncio.sleep(0.01)


@pytest.mark.parametrize(("status", "stays"), [(404, False), (401, True)])
async def test_a_server_without_a_model_list_counts_as_reachable(status: int, stays: bool) -> None:
    async with OpenAIUpstream() as server, httpx.AsyncClient() as http:
        server.script(Refusal(status))
        config = Catalog(providers={"one": ProviderConfig(type="openai", base_url=server.url)})
        away = UnreachableProviders(build_providers(config, http, "").all)
        away.mark("one")
        await away.check()
        assert ("one" in away) is stays


@pytest.mark.parametrize(
    ("state", "away", "calls", "failed", "health"),
    [
        ("closed", False, 0, 0, "up"),
        ("closed", False, 20, 1, "up"),
        ("closed", False, 10, 2, "degraded"),
        ("closed", False, 5, 5, "down"),
        ("closed", False, 1, 1, "degraded"),
        ("closed", True, 0, 0, "down"),
        ("half_open", False, 20, 0, "degraded"),
        ("open", False, 20, 0, "down"),
    ],
)
def test_health_of_a_model(
    state: BreakerState, away: bool, calls: int, failed: int, health: ModelHealth
) -> None:
    assert health_of(state, unreachable=away, calls=calls, failed=failed) == health


async def test_the_view_of_an_upstream_has_its_last_error() -> None:
    async with OpenAIUpstream() as up, running_agent(make_catalog({"one": up.url})) as agent:
        up.script(Refusal(503, body=b'{"error": {"message": "burnt down"}}'), Reply())
        await run_turn(agent, make_turn(model="one"))
        await run_turn(agent, make_turn(model="one"))
        (view,) = agent.resources.upstreams.breaker_views()
    assert (view.calls, view.failed, view.health) == (2, 1, "degraded")
    assert view.last_error is not None
    assert (view.last_error.status, view.last_error.reason) == (503, "burnt down")


async def test_a_turn_waits_while_the_local_model_is_loading(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "_LOAD_POLL_SECONDS", 0.01)
    async with OpenAIUpstream() as server, httpx.AsyncClient() as http:
        server.script(Refusal(503, body=b'{"error": {"message": "Loading model"}}'))
        config = Catalog(providers={"local": ProviderConfig(type="local")})
        provider = build_providers(config, http, server.url).chat["local"]
        assert provider.model_loading
        said: list[ProviderEvent] = []

        async def ask() -> None:
            said.extend([e async for e in provider.stream(ChatRequest("m", (Message("user", "Hi"),)))])

        asking = asyncio.create_task(ask())
        while len(server.lookups) < 2:  # noqa: ASYNC110 - the server has no event for it
            await asyncio.sleep(0.01)
        assert server.calls == []
        server.script(Reply())
        await asyncio.wait_for(asking, 20)
    assert said
    assert not provider.model_loading
