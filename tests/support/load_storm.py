"""Load on two workers whose first upstream fails in every way.

`python -m tests.support.load_storm [requests]` prints what it did to whom, and how long the answers took.
"""

from __future__ import annotations

import asyncio
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.support.engines import RunEngines, worker_database, worker_valkey
from tests.support.gateway import Gateway, running_gateway
from tests.support.upstreams.openai_server import OpenAIUpstream, Refusal, Reply, Silence

FAILURES, RESET, SILENCE = 5, 1.0, 0.4  # the breaker's, and what a call may take, in seconds
_FAILURE_KINDS = (
    Refusal(500),
    Refusal(503, headers={"retry-after": "1"}),
    Refusal(429),
    Refusal(429, headers={"retry-after": "1"}),
    Refusal(429, headers={"retry-after": "Fri, 31 Dec 2099 23:59:59 GMT"}),
    Refusal(429, headers={"retry-after": "9" * 300}),
    Reply(fault="reset", after=0),
    Reply(fault="cut", after=0),
    Silence(),
)


def random_failures(count: int) -> list[Any]:
    """So many failures, the same in every run."""
    draw = random.Random(4)
    return [draw.choice(_FAILURE_KINDS) for _ in range(count)]


@dataclass(slots=True)
class LoadFigures:
    """What the callers saw: statuses, models that answered, seconds each answer took."""

    statuses: Counter[int] = field(default_factory=Counter)
    models: Counter[str] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)

    def percentile(self, share: float) -> float:
        return sorted(self.seconds)[min(len(self.seconds) - 1, int(share * len(self.seconds)))]


@dataclass(slots=True)
class LoadStorm:
    """Two workers of one gateway, with keys of one account each."""

    workers: list[Gateway]
    keys: list[str]
    failing: OpenAIUpstream
    healthy: OpenAIUpstream

    async def send_question(self, number: int, figures: LoadFigures) -> str:
        """One whole answer from one of the workers; returns the model that gave it, empty for an error."""
        at = number % len(self.workers)
        body = {"model": "first", "messages": [{"role": "user", "content": f"Number {number}"}]}
        started = time.perf_counter()
        answer = await self.workers[at].http.post(
            "/v1/chat/completions", json=body, headers={"authorization": f"Bearer {self.keys[at]}"}
        )
        figures.seconds.append(time.perf_counter() - started)
        figures.statuses[answer.status_code] += 1
        model = answer.headers.get("x-gateway-model", "")
        figures.models[model] += 1
        return model

    async def run(self, requests: int, concurrency: int) -> LoadFigures:
        """So many requests, so many at a time."""
        figures = LoadFigures()
        numbers = iter(range(requests))

        async def caller() -> None:
            for number in numbers:
                await self.send_question(number, figures)

        await asyncio.gather(*(caller() for _ in range(concurrency)))
        return figures

    def breaker_states(self) -> list[str]:
        """Each worker's opinion of the failing upstream."""
        return [
            view.state
            for worker in self.workers
            for view in worker.container.operations.circuit_breakers.list_all()
            if view.model == "first"
        ]

    async def wait_for_state(self, state: str) -> None:
        async with asyncio.timeout(20):
            while set(self.breaker_states()) != {state}:  # noqa: ASYNC110 - it is memory, that tells nobody
                await asyncio.sleep(0.01)


@asynccontextmanager
async def load_storm(
    database_url: str, redis_url: str, directory: Path, *, silence: float = SILENCE, reset: float = RESET
) -> AsyncIterator[LoadStorm]:
    """`silence` is how many seconds a call may take, `reset` how many a breaker stays open."""
    async with AsyncExitStack() as stack:
        failing = await stack.enter_async_context(OpenAIUpstream())
        healthy = await stack.enter_async_context(OpenAIUpstream())
        config: dict[str, Any] = {
            "providers": {
                "shaky": {"type": "openai", "base_url": failing.url},
                "sound": {"type": "openai", "base_url": healthy.url},
            },
            "models": {
                "first": {"provider": "shaky", "model": "v-first"},
                "second": {"provider": "sound", "model": "v-second"},
            },
            "routing": {"light": "first", "heavy": "first"},
            "fallbacks": {"first": ["second"]},
            "timeouts": {"live": silence, "first_token": silence, "connect": 1},
            "circuit_breaker": {"failures": FAILURES, "reset_seconds": reset},
            "retry": {"attempts": 3, "budget_ratio": 0.2},
            "tiers": {"free": {}},
        }
        workers = []
        for name in ("here", "there"):
            (directory / name).mkdir()
            workers.append(
                await stack.enter_async_context(
                    running_gateway(database_url, redis_url, directory / name, config)
                )
            )
        keys = [await worker.create_api_key(await worker.sign_up()) for worker in workers]
        yield LoadStorm(workers, keys, failing, healthy)


def max_failing_calls(workers: int, concurrency: int) -> int:
    """Calls of a storm that no breaker can spare: those that open it, and those under way as it opens."""
    return FAILURES + workers + concurrency


async def main(arguments: Sequence[str]) -> None:
    requests = int(arguments[0]) if arguments else 1000
    engines = RunEngines()
    engines.start()
    try:
        with tempfile.TemporaryDirectory() as directory:
            urls = worker_database("storm"), worker_valkey("gw0")
            async with load_storm(*urls, Path(directory)) as one:
                calm = await one.run(requests, 16)
                print(f"calm   p50 {calm.percentile(0.5):.3f} s  p99 {calm.percentile(0.99):.3f} s")
                before = len(one.failing.calls)
                one.failing.script(*random_failures(requests))
                storm = await one.run(requests, 16)
                failing, healthy = len(one.failing.calls) - before, len(one.healthy.calls)
                print(f"storm  p50 {storm.percentile(0.5):.3f} s  p99 {storm.percentile(0.99):.3f} s")
                print(f"       {dict(storm.statuses)} by {dict(storm.models)}")
                print(f"       {failing} calls of the failing upstream, {healthy} of the healthy one")
                print(f"       {(failing + healthy) / requests:.3f} upstream calls a request")
    finally:
        engines.stop()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
