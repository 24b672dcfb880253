"""Failing upstreams: retries, other upstreams, breakers and probes."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from structlog.testing import capture_logs

from gateway.agent.model_call.auxiliary_call import AuxiliaryCall, run_auxiliary_call
from gateway.agent.runner import AgentRunner
from gateway.core.exceptions import (
    CircuitOpen,
    GatewayError,
    UpstreamBroken,
    UpstreamRateLimited,
    UpstreamRejected,
    UpstreamTimeout,
    UpstreamUnauthorized,
    UpstreamUnavailable,
)
from gateway.core.metrics import registry as metrics
from gateway.domain.events import Answer, ChatEvent, ModelCall, RouteChosen, TurnCompleted, TurnFailed
from gateway.domain.messages import Message
from tests.support.agent import make_catalog, make_turn, run_turn, running_agent
from tests.support.upstreams.openai_server import OpenAIUpstream, Refusal, Reply, Silence

NEVER = {"attempts": 1}
QUICK = {"attempts": 3, "backoff_seconds": 0.001, "budget_ratio": 1.0}
FRAGILE = {"failures": 2, "reset_seconds": 30}


class Clock:
    """Seconds that pass when the test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def answer_of(events: list[ChatEvent]) -> Answer:
    last = events[-1]
    assert isinstance(last, TurnCompleted), last
    return last.answer


def failure_of(events: list[ChatEvent]) -> GatewayError:
    last = events[-1]
    assert isinstance(last, TurnFailed), last
    return last.error


async def ask(agent: AgentRunner, model: str = "one", **fields: Any) -> list[ChatEvent]:
    return await run_turn(agent, make_turn(model=model, **fields))


def outcomes(answer: Answer | None) -> list[tuple[str, str]]:
    assert answer is not None
    return [(attempt.provider, attempt.outcome) for attempt in answer.receipt.attempts]


def opens(upstream: str) -> float:
    return metrics.registry.get_sample_value("gateway_circuit_open_total", {"upstream": upstream}) or 0.0


# Retries


@pytest.mark.parametrize("blip", [Refusal(500), Refusal(503), Reply(fault="reset", after=0)])
async def test_a_failure_before_output_is_retried(blip: Any) -> None:
    async with OpenAIUpstream() as up, running_agent(make_catalog({"one": up.url}, retry=QUICK)) as agent:
        up.script(blip, Reply())
        events = await ask(agent)
    answer = answer_of(events)
    assert answer.content == "Hello, world!"
    assert outcomes(answer) == [("one", "upstream_failed"), ("one", "ok")]
    assert answer.receipt.reason == "one failed before any output and is retried."
    assert answer.fallback_from is None
    assert sum(isinstance(e, RouteChosen) for e in events) == 1


async def test_after_all_attempts_the_next_model_is_called() -> None:
    async with OpenAIUpstream() as broken, OpenAIUpstream() as sound:
        broken.script(Refusal(500))
        config = make_catalog({"one": broken.url, "two": sound.url}, retry=QUICK, fallbacks={"one": ["two"]})
        async with running_agent(config) as agent:
            answer = answer_of(await ask(agent))
    assert outcomes(answer) == [("one", "upstream_failed")] * 3 + [("two", "ok")]
    assert answer.fallback_from == "one"


async def test_retries_stay_within_their_budget() -> None:
    rule = {**QUICK, "budget_ratio": 0.2}
    breaker = {"failures": 1000}
    async with OpenAIUpstream() as up:
        up.script(Refusal(500))
        async with running_agent(make_catalog({"one": up.url}, retry=rule, circuit_breaker=breaker)) as agent:
            for _ in range(50):
                await ask(agent)
        assert 50 < len(up.calls) <= 50 * 1.2 + 3


async def test_a_short_rate_limit_is_waited_for() -> None:
    async with OpenAIUpstream() as up, running_agent(make_catalog({"one": up.url}, retry=QUICK)) as agent:
        up.script(Refusal(429, headers={"retry-after-ms": "20"}), Reply())
        started = asyncio.get_running_loop().time()
        answer = answer_of(await ask(agent))
        assert asyncio.get_running_loop().time() - started >= 0.02
    assert [outcome for _, outcome in outcomes(answer)] == ["upstream_rate_limited", "ok"]


@pytest.mark.parametrize("header", ["3600", "9" * 400, "soon", "Fri, 31 Dec 2099 23:59:59 GMT", "-5", "nan"])
async def test_a_long_rate_limit_is_not_waited_for(header: str) -> None:
    async with OpenAIUpstream() as up, OpenAIUpstream() as spare:
        up.script(Refusal(429, headers={"retry-after": header}))
        config = make_catalog({"one": up.url, "two": spare.url}, retry=QUICK, fallbacks={"one": ["two"]})
        async with running_agent(config) as agent:
            answer = answer_of(await ask(agent))
        assert len(up.calls) == 1
    assert answer.model == "two"


async def test_a_rate_limit_is_reported_with_retry_after() -> None:
    async with OpenAIUpstream() as up, running_agent(make_catalog({"one": up.url}, retry=QUICK)) as agent:
        up.script(Refusal(429, headers={"retry-after": "60"}))
        failure = failure_of(await ask(agent))
    assert isinstance(failure, UpstreamRateLimited)
    assert failure.retry_after == 60


async def test_permanent_failures_are_not_retried(unused_tcp_port: int) -> None:
    async with OpenAIUpstream() as up:
        config = make_catalog(
            {"one": up.url, "gone": f"http://127.0.0.1:{unused_tcp_port}/v1"},
            retry=QUICK,
            timeouts={"first_token": 0.1, "live": 30},
        )
        async with running_agent(config) as agent:
            for step, error in (
                (Refusal(401), UpstreamUnauthorized),
                (Refusal(403), UpstreamUnauthorized),
                (Refusal(404), UpstreamUnavailable),
                (Refusal(400), UpstreamRejected),
                (Silence(), UpstreamTimeout),
            ):
                up.calls.clear()
                up.script(step)
                assert type(failure_of(await ask(agent))) is error
                assert len(up.calls) == 1
            refused = await ask(agent, "gone")
    assert isinstance(failure_of(refused), UpstreamUnavailable)
    assert isinstance(refused[-1], TurnFailed)
    assert len(outcomes(refused[-1].answer)) == 1


async def test_a_cancelled_turn_does_not_wait_for_a_retry() -> None:
    rule = {"attempts": 2, "max_wait_seconds": 60}
    async with OpenAIUpstream() as up, running_agent(make_catalog({"one": up.url}, retry=rule)) as agent:
        up.script(Refusal(429, headers={"retry-after": "50"}))
        attempts: list[ModelCall] = []
        task = asyncio.create_task(run_turn(agent, make_turn(model="one"), attempts=attempts))
        await up.wait_for_calls(1)
        await up.calls[0].finished.wait()
        await asyncio.wait({task}, timeout=0.1)  # it is in the pause, or will be
        task.cancel()
        await asyncio.wait_for(asyncio.wait({task}), 30)
        assert len(up.calls) == 1
    assert [a.outcome for a in attempts] == ["upstream_rate_limited"]


async def test_rejected_credentials_are_logged_once() -> None:
    async with OpenAIUpstream() as up, OpenAIUpstream() as spare:
        up.script(Refusal(401))
        config = make_catalog({"one": up.url, "two": spare.url}, fallbacks={"one": ["two"]})
        async with running_agent(config) as agent:
            with capture_logs() as logs:
                answers = [answer_of(await ask(agent)) for _ in range(6)]
        assert len(up.calls) == 6
    assert {answer.model for answer in answers} == {"two"}
    logged = [entry for entry in logs if entry["event"] == "upstream.unauthorized"]
    assert logged == [
        {"event": "upstream.unauthorized", "log_level": "error", "upstream": "one", "model": "one"}
    ]


# Several upstreams of one model


def shared(first: str, second: str, **sections: Any) -> Any:
    """A catalogue in which `both` is answered by two providers."""
    models = {"both": {"provider": ["one", "two"], "model": "v", "context_window": 4096}}
    return make_catalog({"one": first, "two": second}, models=models, **sections)


async def test_another_upstream_of_the_model_is_called_at_once() -> None:
    async with OpenAIUpstream() as broken, OpenAIUpstream() as sound:
        broken.script(Refusal(500))
        slow = {"attempts": 3, "backoff_seconds": 60, "max_wait_seconds": 60}
        async with running_agent(shared(broken.url, sound.url, retry=slow)) as agent:
            answers = [answer_of(await ask(agent, "both")) for _ in range(4)]
    assert {answer.provider for answer in answers} == {"two"}
    assert all(answer.fallback_from is None for answer in answers)
    failed = next(answer for answer in answers if len(answer.receipt.attempts) == 2)
    assert outcomes(failed) == [("one", "upstream_failed"), ("two", "ok")]
    assert failed.receipt.reason == "both failed at one before any output; two is tried next."


async def test_load_goes_to_the_least_busy_upstream_in_turns() -> None:
    async with OpenAIUpstream() as one, OpenAIUpstream() as two:
        gate = asyncio.Event()
        async with running_agent(shared(one.url, two.url)) as agent:
            for up in (one, two):
                up.script(Reply())
            for _ in range(4):
                await ask(agent, "both")
            assert (len(one.calls), len(two.calls)) == (2, 2)
            one.script(Reply(gate=gate))
            held = [asyncio.create_task(ask(agent, "both"))]
            while len(one.calls) < 3 and len(held) < 3:
                await asyncio.wait(held, timeout=0.05)
                if held[-1].done():
                    held.append(asyncio.create_task(ask(agent, "both")))
            await one.wait_for_calls(3)
            before = len(two.calls)
            for _ in range(5):
                await ask(agent, "both")
            assert len(two.calls) == before + 5
            gate.set()
            await asyncio.wait(held)


async def test_a_rate_limited_upstream_is_avoided_if_another_is_available(clock: Clock) -> None:
    async with OpenAIUpstream() as limited, OpenAIUpstream() as free:
        limited.script(Refusal(429, headers={"retry-after": "20"}))
        config = make_catalog({"one": limited.url, "two": free.url}, fallbacks={"one": ["two"]})
        async with running_agent(config, clock=clock) as agent:
            for _ in range(5):
                assert answer_of(await ask(agent)).model == "two"
            assert len(limited.calls) == 1
            assert isinstance(failure_of(await ask(agent, fallbacks=())), UpstreamRateLimited)
            limited.script(Reply())
            clock.now += 21
            assert answer_of(await ask(agent)).model == "one"


# Breakers


async def test_an_open_breaker_is_skipped_and_shown_in_the_receipt(clock: Clock) -> None:
    async with OpenAIUpstream() as broken, OpenAIUpstream() as sound:
        broken.script(Refusal(500))
        config = make_catalog(
            {"down": broken.url, "two": sound.url}, fallbacks={"down": ["two"]}, circuit_breaker=FRAGILE
        )
        async with running_agent(config, clock=clock) as agent:
            before = opens("down")
            first, second, third = [answer_of(await ask(agent, "down")) for _ in range(3)]
            assert opens("down") == before + 1
        assert len(broken.calls) == 2
    assert first.receipt.breakers == {}
    assert second.receipt.breakers == third.receipt.breakers == {"down/down": "open"}
    assert outcomes(third) == [("two", "ok")]
    assert third.fallback_from == "down"
    assert third.receipt.reason == (
        "You asked for down. two answers: down is unavailable after repeated failures."
    )


async def test_if_all_breakers_are_open_the_error_has_retry_after(clock: Clock) -> None:
    async with OpenAIUpstream() as up:
        up.script(Refusal(500))
        async with running_agent(
            make_catalog({"one": up.url}, circuit_breaker=FRAGILE), clock=clock
        ) as agent:
            for _ in range(2):
                await ask(agent)
            clock.now += 12
            events = await ask(agent)
        assert len(up.calls) == 2
    failure = failure_of(events)
    assert isinstance(failure, CircuitOpen)
    assert (failure.status, failure.code, failure.retry_after) == (503, "circuit_open", 18)
    last = events[-1]
    assert isinstance(last, TurnFailed)
    assert last.answer is not None
    assert last.answer.receipt.breakers == {"one/one": "open"}
    assert last.answer.receipt.attempts == ()


@pytest.mark.parametrize(
    ("step", "error"),
    [
        (Reply(fault="cut", after=2), UpstreamBroken),
        (Reply(fault="reset", after=2), UpstreamBroken),
        (Reply(fault="hang", after=2), UpstreamTimeout),
        (Silence(), UpstreamTimeout),
        (Refusal(502), UpstreamUnavailable),
    ],
)
async def test_broken_and_silent_streams_count_also_after_output(
    step: Any, error: type[GatewayError]
) -> None:
    async with OpenAIUpstream() as up:
        up.script(step)
        config = make_catalog(
            {"one": up.url}, circuit_breaker=FRAGILE, timeouts={"first_token": 0.5, "live": 30}
        )
        async with running_agent(config) as agent:
            assert [type(failure_of(await ask(agent))) for _ in range(3)] == [error, error, CircuitOpen]


@pytest.mark.parametrize("step", [Refusal(429), Refusal(400), Refusal(401), Refusal(403)])
async def test_rejections_and_rate_limits_do_not_count(step: Refusal) -> None:
    async with OpenAIUpstream() as up:
        up.script(step)
        async with running_agent(make_catalog({"one": up.url}, circuit_breaker=FRAGILE)) as agent:
            for _ in range(6):
                assert not isinstance(failure_of(await ask(agent)), CircuitOpen)
            assert agent.resources.upstreams.get("one", "one").breaker.failures == 0
        assert len(up.calls) == 6


async def test_a_cancelled_call_does_not_count() -> None:
    async with (
        OpenAIUpstream() as up,
        running_agent(make_catalog({"one": up.url}, circuit_breaker=FRAGILE)) as agent,
    ):
        up.script(Silence())
        for _ in range(4):
            task = asyncio.create_task(ask(agent))
            await up.wait_for_calls(len(up.calls) + 1)
            task.cancel()
            await asyncio.wait({task})
        upstream = agent.resources.upstreams.get("one", "one")
        assert (upstream.breaker.failures, upstream.in_flight) == (0, 0)


async def test_one_probe_after_the_reset_time_closes_the_breaker(clock: Clock) -> None:
    async with OpenAIUpstream() as up, OpenAIUpstream() as spare:
        up.script(Refusal(500))
        config = make_catalog(
            {"one": up.url, "two": spare.url}, fallbacks={"one": ["two"]}, circuit_breaker=FRAGILE
        )
        async with running_agent(config, clock=clock) as agent:
            for _ in range(2):
                await ask(agent)
            clock.now += 30
            gate = asyncio.Event()
            up.script(Reply(gate=gate))
            probe = asyncio.create_task(ask(agent))
            await up.wait_for_calls(3)
            others = [answer_of(e) for e in await asyncio.gather(*(ask(agent) for _ in range(20)))]
            assert len(up.calls) == 3
            assert {other.model for other in others} == {"two"}
            assert others[0].receipt.breakers == {"one/one": "half_open"}
            gate.set()
            answer = answer_of(await probe)
            assert (answer.model, answer.receipt.breakers) == ("one", {"one/one": "half_open"})
            after = answer_of(await ask(agent))
    assert (after.model, after.receipt.breakers) == ("one", {})


async def test_a_failed_probe_reopens_the_breaker(clock: Clock) -> None:
    async with OpenAIUpstream() as up:
        up.script(Refusal(500))
        async with running_agent(
            make_catalog({"one": up.url}, circuit_breaker=FRAGILE), clock=clock
        ) as agent:
            for _ in range(2):
                await ask(agent)
            clock.now += 30
            assert isinstance(failure_of(await ask(agent)), UpstreamUnavailable)
            clock.now += 29
            assert isinstance(failure_of(await ask(agent)), CircuitOpen)
        assert len(up.calls) == 3


async def test_a_cancelled_probe_is_released(clock: Clock) -> None:
    async with OpenAIUpstream() as up:
        up.script(Refusal(500), Refusal(500), Silence(), Reply())
        async with running_agent(
            make_catalog({"one": up.url}, circuit_breaker=FRAGILE), clock=clock
        ) as agent:
            for _ in range(2):
                await ask(agent)
            clock.now += 30
            probe = asyncio.create_task(ask(agent))
            await up.wait_for_calls(3)
            probe.cancel()
            await asyncio.wait({probe})
            assert answer_of(await ask(agent)).content == "Hello, world!"


async def test_an_unused_probe_is_released(clock: Clock) -> None:
    """It is granted in `route`; where the turn ends before the call, nobody is blocked."""
    async with OpenAIUpstream() as up:
        up.script(Refusal(500), Refusal(500), Reply())
        async with running_agent(
            make_catalog({"one": up.url}, circuit_breaker=FRAGILE), clock=clock
        ) as agent:
            for _ in range(2):
                await ask(agent)
            clock.now += 30
            choice = await agent.resources.upstreams.choose(("one",))
            assert choice.upstream is not None
            assert choice.probe is not None
            assert isinstance(failure_of(await ask(agent)), CircuitOpen)
            agent.resources.upstreams.release_probe(choice.upstream, choice.probe)
            assert answer_of(await ask(agent)).content == "Hello, world!"


# The gateway's own calls


async def quick_question(agent: AgentRunner, attempts: list[ModelCall], seconds: float = 10) -> str:
    call = AuxiliaryCall("intent", "one", (Message("user", "Which intent?"),), 5, seconds)
    return await run_auxiliary_call(agent.resources, call, attempts)


async def test_auxiliary_calls_respect_breakers(clock: Clock) -> None:
    attempts: list[ModelCall] = []
    async with OpenAIUpstream() as up:
        up.script(Refusal(500), Refusal(500), Reply())
        async with running_agent(
            make_catalog({"one": up.url}, circuit_breaker=FRAGILE), clock=clock
        ) as agent:
            for _ in range(3):
                with pytest.raises(UpstreamUnavailable):
                    await quick_question(agent, attempts)
            assert (len(up.calls), len(attempts)) == (2, 2)
            assert isinstance(failure_of(await ask(agent)), CircuitOpen)
            clock.now += 30
            assert await quick_question(agent, attempts) == "Hello, world!"
            assert answer_of(await ask(agent)).content == "Hello, world!"


async def test_the_timeout_of_an_auxiliary_call_is_not_an_upstream_failure() -> None:
    attempts: list[ModelCall] = []
    async with (
        OpenAIUpstream() as up,
        running_agent(make_catalog({"one": up.url}, circuit_breaker=FRAGILE)) as agent,
    ):
        up.script(Silence())
        for _ in range(3):
            with pytest.raises(UpstreamTimeout):
                await quick_question(agent, attempts, seconds=0.05)
        up.script(Reply())
        assert answer_of(await ask(agent)).content == "Hello, world!"
