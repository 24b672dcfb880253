"""Metrics of two workers under mixed load equal what was sent."""

from __future__ import annotations

import asyncio
import json
import re
import struct
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import text

from gateway.core.database import create_engine
from tests.support.gateway_process import GatewayProcess

pytestmark = pytest.mark.timeout(180)

CONFIG = {
    "titles": {"enabled": False},
    "providers": {"mock": {"type": "mock"}},
    "models": {
        "small": {
            "provider": "mock",
            "model": "mock",
            "capabilities": ["tools"],
            "price": {"input": 1, "output": 2},
        },
        "broken": {"provider": "mock", "model": "fail", "price": {"input": 0, "output": 0}},
        "shaky": {"provider": "mock", "model": "fail", "price": {"input": 0, "output": 0}},
    },
    "fallbacks": {"shaky": ["small"]},
    "retry": {"attempts": 1},
    # Breakers are tested elsewhere; here every call is to be counted.
    "circuit_breaker": {"failures": 100_000},
    "tools": {"enabled": ["calculator"]},
    "tiers": {"all": {"requests_per_minute": None, "tokens_per_day": None, "usd_per_month": None}},
}
COMPLETIONS = "/v1/chat/completions"
SAMPLES = "gateway_requests_total"


@dataclass
class Sent:
    """Requests sent and responses received, counted by the test."""

    requests: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    turns: int = 0
    prompt: int = 0
    completion: int = 0
    upstream: Counter[tuple[str, str]] = field(default_factory=Counter)
    streams: int = 0
    fallbacks: int = 0
    tools: int = 0


class World:
    """A gateway of two workers and the one who asks it."""

    def __init__(self, address: str, key: str, data: Path, admin: dict[str, str]) -> None:
        self.address, self.key, self.data, self.admin = address, key, data, admin
        self.sent = Sent()

    async def say(self, model: str, words: str, *, stream: bool = False, **more: Any) -> None:
        """One completion on a connection of its own, so that both workers get some; noted in `sent`."""
        body = {"model": model, "messages": [{"role": "user", "content": words}], "stream": stream, **more}
        if stream:
            body["stream_options"] = {"include_usage": True}
        async with httpx.AsyncClient(base_url=self.address, timeout=30) as http:
            answer = await http.post(COMPLETIONS, json=body, headers={"x-api-key": self.key})
        self.sent.requests["POST", COMPLETIONS, str(answer.status_code)] += 1
        if answer.status_code == 404:
            return
        self.sent.turns += 1
        if model != "small":
            self.sent.upstream[model, "upstream_failed"] += 1
        if model == "broken":
            assert answer.status_code == 502, answer.text
            return
        assert answer.status_code == 200, answer.text
        self.sent.fallbacks += model == "shaky"
        tools = "gateway" in more
        self.sent.tools += tools
        self.sent.upstream["small", "ok"] += 2 if tools else 1
        self.sent.streams += (2 if tools else 1) if stream else 0
        usage = _last_usage(answer.text) if stream else answer.json()["usage"]
        self.sent.prompt += usage["prompt_tokens"]
        self.sent.completion += usage["completion_tokens"]

    async def get(self, path: str) -> Any:
        async with httpx.AsyncClient(base_url=self.address, timeout=30, headers=self.admin) as http:
            answer = await http.get(path)
        assert answer.status_code == 200, answer.text
        return answer.json() if "json" in answer.headers["content-type"] else answer.text

    async def scrape(self) -> dict[str, dict[tuple[str, ...], float]]:
        """Samples by name and by label values, in the order of the labels' names."""
        found: dict[str, dict[tuple[str, ...], float]] = {}
        for family in text_string_to_metric_families(await self.get("/metrics")):
            for sample in family.samples:
                key = tuple(value for _, value in sorted(sample.labels.items()))
                found.setdefault(sample.name, {})[key] = sample.value
        return found

    def counted_by(self) -> list[int]:
        """How many requests each worker has counted."""
        files = (self.data / "metrics").glob("requests_*")
        return [int(struct.unpack_from("d", file.read_bytes(), 8)[0]) for file in files]


def _last_usage(body: str) -> dict[str, int]:
    found: dict[str, int]
    found, _ = json.JSONDecoder().raw_decode(body, body.rindex('"usage":{') + len('"usage":'))
    return found


@pytest.fixture
async def world(clean_database: str, clean_redis: str, tmp_path: Path) -> AsyncIterator[World]:
    path = tmp_path / "providers.yaml"
    path.write_text(yaml.safe_dump(CONFIG))
    given = {
        "DATABASE_URL": clean_database,
        "REDIS_URL": clean_redis,
        "PROVIDER_CONFIG": str(path),
        "ADMIN_PASSWORD": "correct horse battery staple",
        "LOG_LEVEL": "WARNING",
    }
    data = tmp_path / "data"
    with GatewayProcess("--workers", "2", "--data-dir", str(data), cwd=tmp_path, **given) as served:
        banner = await asyncio.to_thread(served.wait_for_banner)
        key = re.search(r"^API key: (\S+)$", banner, re.MULTILINE)
        assert key is not None, banner
        body = {"email": "admin@gateway.localhost", "password": given["ADMIN_PASSWORD"]}
        async with httpx.AsyncClient(base_url=served.address, timeout=30) as http:
            tokens = (await http.post("/api/auth/login", json=body)).json()
        yield World(served.address, key[1], data, {"authorization": f"Bearer {tokens['access_token']}"})


async def _load(world: World) -> None:
    """Whole answers and streams, a fallback, a failure, tools, and what does not exist."""
    calculator = {"tools": ["calculator"]}
    call = 'call tool calculator {"expression": "6*7"}'
    await asyncio.gather(
        *(world.say("small", f"Good morning, number {n}") for n in range(10)),
        *(world.say("small", f"Good evening, number {n}", stream=True) for n in range(6)),
        *(world.say("shaky", f"Are you well, {n}?") for n in range(4)),
        *(world.say("broken", f"And you, {n}?") for n in range(3)),
        *(world.say(f"no-such-model-{n}", "Hello") for n in range(3)),
        *(world.say("small", call, stream=bool(n % 2), gateway=calculator) for n in range(4)),
    )


async def test_metrics_of_two_workers_equal_what_was_sent_and_what_the_ledger_holds(
    world: World, clean_database: str
) -> None:
    for _ in range(10):
        await _load(world)
        if len(world.counted_by()) == 2 and min(world.counted_by()) > 2:
            break
    else:
        pytest.fail(f"one of the workers was never asked: {world.counted_by()}")
    async with httpx.AsyncClient(base_url=world.address, timeout=30) as http:
        for number in range(5):
            assert (await http.get(f"/api/no/such/path/{number}")).status_code == 404
            world.sent.requests["GET", "unmatched", "404"] += 1
    sent = world.sent

    async with asyncio.timeout(30):
        # A request is counted when its last byte is out, which its client may have read by then.
        while True:
            said = await world.scrape()
            ours = {key: said[SAMPLES].get(key) for key in sent.requests}
            if ours == sent.requests:
                break
            await asyncio.sleep(0.05)

    latencies = said["gateway_request_latency_seconds_count"]
    assert latencies["POST", COMPLETIONS] == sum(
        count for (_, path, _), count in sent.requests.items() if path == COMPLETIONS
    )
    upstream = said["gateway_upstream_requests_total"]
    assert {(model, status): int(n) for (model, status, _), n in upstream.items()} == sent.upstream
    assert said["gateway_tokens_total"]["prompt", "small"] == sent.prompt
    assert said["gateway_tokens_total"]["completion", "small"] == sent.completion
    cost = Decimal(sent.prompt + 2 * sent.completion) / 1_000_000
    assert abs(Decimal(said["gateway_cost_usd_total"]["small",]) - cost) < Decimal("1e-9")
    assert said["gateway_fallback_used_total"] == {("shaky", "small"): sent.fallbacks}
    assert said["gateway_tool_calls_total"] == {("ok", "calculator"): sent.tools}
    assert said["gateway_time_to_first_token_seconds_count"] == {("small", "mock"): sent.streams}
    assert said["gateway_overhead_seconds_count"][()] == sent.turns
    assert sum(said["gateway_cache_total"].values()) == sent.turns
    assert said["gateway_circuit_open_total"]["mock",] == 0
    assert said["gateway_database_pool_size"][()] == 2 * 10
    assert said["gateway_database_up"][()] == said["gateway_valkey_up"][()] == 1
    assert not re.search(r"no-such-model|no/such/path", await world.get("/metrics"))

    live = await world.get("/api/metrics")
    small = live["models"]["small"]
    assert (small["requests"], small["errors"]) == (sent.upstream["small", "ok"], 0)
    assert (small["prompt_tokens"], small["completion_tokens"]) == (sent.prompt, sent.completion)
    assert live["models"]["broken"]["errors"] == sent.upstream["broken", "upstream_failed"]
    assert set(live["models"]) == {"small", "broken", "shaky"}
    assert live["status"]["502"] == sent.requests["POST", COMPLETIONS, "502"]
    assert live["requests"] == sum(live["status"].values())
    assert len(live["slowest"]) == 5

    stats = await world.get("/api/admin/stats")
    assert stats["requests"] == sent.turns
    assert (stats["prompt_tokens"], stats["completion_tokens"]) == (sent.prompt, sent.completion)
    assert abs(Decimal(stats["cost_usd"]) - cost) < Decimal("1e-6")
    calls = {one["model"]: (one["calls"], one["errors"]) for one in stats["by_model"]}
    assert calls["small"] == (sent.upstream["small", "ok"], 0)
    assert calls["broken"] == (sent.upstream["broken", "upstream_failed"],) * 2

    engine = create_engine(clean_database, 1)
    async with engine.connect() as connection:
        rows = await connection.execute(
            text("SELECT kind, model, outcome, count(*) FROM usage_records GROUP BY 1, 2, 3")
        )
        written = {tuple(row[:3]): row[3] for row in rows}
    await engine.dispose()
    assert written == {
        **{("chat", model, status): count for (model, status), count in sent.upstream.items()},
        ("tool", "calculator", "ok"): sent.tools,
    }
