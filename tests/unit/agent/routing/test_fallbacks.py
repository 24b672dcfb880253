"""Which failures fall back, and which error is reported."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.core.exceptions import (
    ContextLengthExceeded,
    GatewayError,
    UnsupportedParameter,
    UpstreamRateLimited,
    UpstreamRejected,
    UpstreamUnavailable,
)
from gateway.domain.config.catalog import Catalog
from gateway.domain.events import Answer, ChatEvent, RouteChosen, TurnCompleted, TurnFailed
from gateway.domain.messages import ImagePart, Message, TextPart
from gateway.domain.requests import ResponseFormat, Sampling
from tests.support.agent import make_catalog, make_turn, run_turn, running_agent
from tests.support.upstreams.anthropic_server import AnthropicUpstream
from tests.support.upstreams.openai_server import OpenAIUpstream, Refusal, Silence

TOO_LONG = Refusal(400, "context_length_exceeded")


def answer_of(events: list[ChatEvent]) -> Answer:
    last = events[-1]
    assert isinstance(last, TurnCompleted), last
    return last.answer


def failure_of(events: list[ChatEvent]) -> GatewayError:
    last = events[-1]
    assert isinstance(last, TurnFailed), last
    return last.error


def with_claude(first: str, claude: str, last: str, **sections: Any) -> Catalog:
    """Model `one`, its fallback Claude of Anthropic, and `three`."""
    base = make_catalog({"one": first, "three": last}, fallbacks={"one": ["claude", "three"]}, **sections)
    data = base.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    data["providers"]["anthropic"] = {"type": "anthropic", "base_url": claude, "api_key": "k"}
    data["models"]["claude"] = {
        "provider": "anthropic",
        "model": "claude-haiku-4-5",
        "context_window": 200_000,
        "capabilities": ["tools", "json", "vision", "logprobs"],
    }
    data["models"]["one"]["capabilities"] = data["models"]["three"]["capabilities"] = [
        "tools",
        "json",
        "vision",
        "logprobs",
    ]
    return Catalog.model_validate(data)


PICTURE = (Message("user", (TextPart("What is this?"), ImagePart("https://example.com/cat.png"))),)
PARTICULARS: list[dict[str, Any]] = [
    {"sampling": Sampling(seed=1)},
    {"sampling": Sampling(presence_penalty=0.5)},
    {"sampling": Sampling(frequency_penalty=0.5)},
    {"logprobs": True},
    {"extra": {"reasoning_effort": "low"}},
    {"extra": {"verbosity": "low"}},
    {"extra": {"logit_bias": {"1": 2}}},
    {"response_format": ResponseFormat("json_object")},
    {"messages": PICTURE},
]


@pytest.mark.parametrize("particulars", PARTICULARS)
async def test_a_fallback_that_lacks_a_parameter_is_skipped(particulars: dict[str, Any]) -> None:
    async with OpenAIUpstream() as one, AnthropicUpstream() as claude, OpenAIUpstream() as three:
        one.script(Refusal(500))
        async with running_agent(with_claude(one.url, claude.url, three.url)) as agent:
            events = await run_turn(agent, make_turn(model="one", **particulars))
        assert claude.calls == []
    assert answer_of(events).model == "three"
    assert [e.model for e in events if isinstance(e, RouteChosen)] == ["one", "three"]


async def test_an_outage_without_usable_fallback_is_reported() -> None:
    async with OpenAIUpstream() as one, AnthropicUpstream() as claude, OpenAIUpstream() as three:
        one.script(Refusal(503))
        three.script(Refusal(400))
        async with running_agent(with_claude(one.url, claude.url, three.url)) as agent:
            failure = failure_of(await run_turn(agent, make_turn(model="one", sampling=Sampling(seed=1))))
    assert (type(failure), failure.code) == (UpstreamUnavailable, "upstream_failed")


async def test_a_named_model_rejects_an_unsupported_parameter() -> None:
    async with OpenAIUpstream() as one, AnthropicUpstream() as claude, OpenAIUpstream() as three:
        async with running_agent(with_claude(one.url, claude.url, three.url)) as agent:
            failure = failure_of(await run_turn(agent, make_turn(model="claude", sampling=Sampling(seed=1))))
        assert claude.calls == one.calls == []
    assert isinstance(failure, UnsupportedParameter)
    assert failure.param == "seed"


async def test_an_alias_skips_a_model_that_lacks_a_parameter() -> None:
    async with OpenAIUpstream() as one, AnthropicUpstream() as claude, OpenAIUpstream() as three:
        config = with_claude(one.url, claude.url, three.url, aliases={"fast": ["one"]})
        config = Catalog.model_validate(
            config.model_dump(mode="json", by_alias=True, exclude_defaults=True)
            | {"aliases": {"fast": ["claude", "three"]}}
        )
        async with running_agent(config) as agent:
            answer = answer_of(await run_turn(agent, make_turn(model="fast", sampling=Sampling(seed=1))))
    assert answer.model == "three"


@pytest.mark.parametrize("second", [Refusal(400), Refusal(402), Refusal(413), Refusal(422), TOO_LONG])
async def test_a_fallbacks_rejection_does_not_end_the_chain(second: Refusal) -> None:
    async with OpenAIUpstream() as one, OpenAIUpstream() as two, OpenAIUpstream() as three:
        one.script(Refusal(500))
        two.script(second)
        config = make_catalog(
            {"one": one.url, "two": two.url, "three": three.url},
            fallbacks={"one": ["two", "three"]},
            models={
                "three": {
                    "provider": "three",
                    "model": "v",
                    "context_window": 8192,
                    "capabilities": ["tools"],
                }
            },
        )
        async with running_agent(config) as agent:
            answer = answer_of(await run_turn(agent, make_turn(model="one")))
            three.script(Refusal(400))
            failure = failure_of(await run_turn(agent, make_turn(model="one")))
    assert answer.model == "three"
    assert type(failure) is UpstreamUnavailable


@pytest.mark.parametrize("status", [402, 405, 408, 409, 410, 413, 421, 424, 425, 451, 498, 499])
async def test_an_upstream_fault_falls_back(status: int) -> None:
    async with OpenAIUpstream() as one, OpenAIUpstream() as two:
        one.script(Refusal(status))
        async with running_agent(
            make_catalog({"one": one.url, "two": two.url}, fallbacks={"one": ["two"]})
        ) as agent:
            assert answer_of(await run_turn(agent, make_turn(model="one"))).model == "two"


@pytest.mark.parametrize(("windows", "asked"), [((4096, 32768), 1), ((4096, 4096), 0), ((4096, 2048), 0)])
async def test_a_context_overflow_falls_back_only_to_larger_windows(
    windows: tuple[int, int], asked: int
) -> None:
    async with OpenAIUpstream() as one, OpenAIUpstream() as two:
        one.script(TOO_LONG)
        models = {
            name: {"provider": name, "model": "v", "context_window": window}
            for name, window in zip(("one", "two"), windows, strict=True)
        }
        config = make_catalog({"one": one.url, "two": two.url}, models=models, fallbacks={"one": ["two"]})
        async with running_agent(config) as agent:
            events = await run_turn(agent, make_turn(model="one"))
        assert len(two.calls) == asked
    if asked:
        assert answer_of(events).model == "two"
    else:
        failure = failure_of(events)
        assert isinstance(failure, ContextLengthExceeded)
        assert "This model's maximum context length is 4096 tokens. However, " in failure.message
        assert "context_length_exceeded" in failure.message


@pytest.mark.parametrize("second", [Refusal(500), Refusal(400), Refusal(401), None])
async def test_a_rate_limit_is_reported_if_all_fallbacks_fail(
    second: Refusal | None,
) -> None:
    async with OpenAIUpstream() as one, OpenAIUpstream() as two:
        one.script(Refusal(429, headers={"retry-after": "42"}))
        two.script(second or Silence())
        if second is None:
            await two.stop()
        async with running_agent(
            make_catalog({"one": one.url, "two": two.url}, fallbacks={"one": ["two"]})
        ) as agent:
            failure = failure_of(await run_turn(agent, make_turn(model="one")))
    assert isinstance(failure, UpstreamRateLimited)
    assert (failure.status, failure.type, failure.code) == (429, "rate_limit_error", "upstream_rate_limited")
    assert failure.retry_after == 42


async def test_a_rejection_by_the_requested_model_ends_the_turn() -> None:
    async with OpenAIUpstream() as one, OpenAIUpstream() as two:
        one.script(Refusal(400))
        async with running_agent(
            make_catalog({"one": one.url, "two": two.url}, fallbacks={"one": ["two"]})
        ) as agent:
            assert isinstance(failure_of(await run_turn(agent, make_turn(model="one"))), UpstreamRejected)
        assert two.calls == []
