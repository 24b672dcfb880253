"""A day of several users, models, keys and failures, counted by hand, against the reports."""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest
from sqlalchemy import insert, text

from gateway.core.ids import new_id
from gateway.models.usage_record import UsageRecord
from tests.support.gateway import PASSWORD, Account, Gateway, running_gateway

CONFIG: dict[str, object] = {
    "providers": {"mock": {"type": "mock"}},
    "models": {
        "small": {"provider": "mock", "model": "mock", "price": {"input": 1, "output": 2}},
        "dear": {"provider": "mock", "model": "mock-dear", "price": {"input": "33.3", "output": "77.7"}},
        "=cmd|' /C calc'!A0": {"provider": "mock", "model": "mock", "price": {"input": 0, "output": 0}},
        "broken": {"provider": "mock", "model": "fail", "price": {"input": 0, "output": 0}},
        "shaky": {"provider": "mock", "model": "fail", "price": {"input": 0, "output": 0}},
    },
    "routing": {"light": "small", "heavy": "small"},
    "fallbacks": {"shaky": ["small"]},
    "guardrails": {"people": {"injection": "off"}},
    "retry": {"attempts": 2},
    "tiers": {
        "free": {"requests_per_minute": 100, "tokens_per_day": 100_000, "usd_per_month": 5},
        "pro": {"requests_per_minute": None, "tokens_per_day": None, "usd_per_month": None},
    },
}


@dataclass
class World:
    gateway: Gateway
    admin: dict[str, str]

    async def get(self, path: str, **params: Any) -> Any:
        answer = await self.gateway.http.get(path, params=params, headers=self.admin)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def sql(self, statement: str, **values: Any) -> list[Any]:
        async with self.gateway.container.engine.begin() as connection:
            return list((await connection.execute(text(statement), values)).all())


@pytest.fixture
async def world(clean_database: str, clean_redis: str, tmp_path: Path) -> AsyncIterator[World]:
    async with running_gateway(clean_database, clean_redis, tmp_path, CONFIG) as gateway:
        await gateway.container.accounts.users.create_admin("root@gateway.localhost", PASSWORD)
        body = {"email": "root@gateway.localhost", "password": PASSWORD}
        tokens = (await gateway.http.post("/api/auth/login", json=body)).json()
        yield World(gateway, {"authorization": f"Bearer {tokens['access_token']}"})


class Tally:
    """A count by hand: the sum of what each response reported."""

    def __init__(self) -> None:
        self.requests = self.prompt = self.completion = 0
        self.cost = Decimal(0)

    def add(self, usage: dict[str, int], price: tuple[str, str]) -> None:
        self.requests += 1
        self.prompt += usage["prompt_tokens"]
        self.completion += usage["completion_tokens"]
        cost = Decimal(price[0]) * usage["prompt_tokens"] + Decimal(price[1]) * usage["completion_tokens"]
        self.cost += cost / 1_000_000

    def failed(self) -> None:
        self.requests += 1

    def is_said_by(self, sums: dict[str, Any]) -> None:
        assert sums["requests"] == self.requests
        assert sums["prompt_tokens"] == self.prompt
        assert sums["completion_tokens"] == self.completion
        assert sums["total_tokens"] == self.prompt + self.completion
        assert abs(Decimal(sums["cost_usd"]) - self.cost) < Decimal("0.000001")


PRICES = {"small": ("1", "2"), "dear": ("33.3", "77.7"), "=cmd|' /C calc'!A0": ("0", "0")}


async def chat(world: World, who: Account, model: str, *tallies: Tally, said: str = "Good morning") -> None:
    answer = await world.gateway.http.post(
        "/api/chat", json={"message": said, "model": model}, headers=who.headers
    )
    if model == "broken":
        assert answer.status_code == 502
        for tally in tallies:
            tally.failed()
        return
    assert answer.status_code == 200, answer.text
    message = answer.json()["message"]
    for tally in tallies:
        tally.add(message["usage"], PRICES[message["model"]])


async def complete(world: World, key: str, model: str, *tallies: Tally) -> None:
    body = {"model": model, "messages": [{"role": "user", "content": "Sum up the news, please."}]}
    answer = await world.gateway.http.post("/v1/chat/completions", json=body, headers={"x-api-key": key})
    assert answer.status_code == 200, answer.text
    for tally in tallies:
        tally.add(answer.json()["usage"], PRICES[model])


async def test_a_scripted_day_matches_a_count_by_hand(world: World) -> None:
    everyone, ann_all, ann_key, ann_seat, ben_all, on_small, on_dear = (Tally() for _ in range(7))
    ann, ben = await world.gateway.sign_up(), await world.gateway.sign_up()
    key = await world.gateway.create_api_key(ann, name="books")
    for said in ("Hello", "And what then?", "Thank you, that is all for today"):
        await chat(world, ann, "small", everyone, ann_all, ann_seat, on_small, said=said)
    await chat(world, ann, "dear", everyone, ann_all, ann_seat, on_dear)
    await chat(world, ann, "broken", everyone, ann_all, ann_seat)
    await chat(world, ann, "shaky", everyone, ann_all, ann_seat, on_small)  # falls back to small
    for _ in range(4):
        await complete(world, key, "small", everyone, ann_all, ann_key, on_small)
    await complete(world, key, "dear", everyone, ann_all, ann_key, on_dear)
    await chat(world, ben, "small", everyone, ben_all, on_small)
    await chat(world, ben, "broken", everyone, ben_all)
    await chat(world, ben, "=cmd|' /C calc'!A0", everyone, ben_all)

    stats = await world.get("/api/admin/stats")
    everyone.is_said_by(stats)
    everyone.is_said_by(stats["day"])
    everyone.is_said_by(stats["month"])
    assert (stats["active_users"], stats["errors"], stats["cache_hits"]) == (2, 2, 0)
    assert stats["error_rate"] == round(2 / everyone.requests, 4)
    by_model = {one["model"]: one for one in stats["by_model"]}
    on_small.is_said_by(by_model["small"])
    on_dear.is_said_by(by_model["dear"])
    # Each endpoint calls the failing model as often as the configuration allows.
    assert by_model["broken"]["requests"] == 2
    assert by_model["broken"]["calls"] == by_model["broken"]["errors"] >= 2
    assert by_model["shaky"]["error_rate"] == 1
    assert len(stats["by_day"]) == 30
    everyone.is_said_by(stats["by_day"][-1])
    assert stats["by_day"][-1]["errors"] == 2
    assert sum(Decimal(one["cost_usd"]) for one in stats["by_model"]) == Decimal(stats["cost_usd"])

    [(cost, tokens)] = await world.sql(
        "SELECT sum(cost_usd), sum(prompt_tokens + completion_tokens) FROM usage_records"
    )
    assert abs(cost - Decimal(stats["cost_usd"])) < Decimal("0.000001")
    assert tokens == stats["total_tokens"]

    mine = (await world.gateway.http.get("/api/user/me/usage", headers=ann.headers)).json()
    ann_all.is_said_by(mine["day"])
    ann_all.is_said_by(mine["month"])
    keys = {one["name"]: one for one in mine["by_key"]}
    ann_key.is_said_by(keys["books"])
    ann_seat.is_said_by(keys[None])
    assert key.startswith(keys["books"]["prefix"])
    assert mine["limits"] == {
        "requests_per_minute": 100,
        "tokens_per_day": 100_000,
        "usd_per_month": "5.000000",
        "storage_bytes": 1_000_000_000,
    }
    left = mine["remaining"]
    assert left["tokens_per_day"] == 100_000 - mine["day"]["total_tokens"]
    assert abs(Decimal(left["usd_per_month"]) - (5 - ann_all.cost)) < Decimal("0.000001")
    assert left["requests_per_minute"] <= 100
    assert mine["stored_bytes"] > 0
    assert left["storage_bytes"] == 1_000_000_000 - mine["stored_bytes"]
    others = (await world.gateway.http.get("/api/user/me/usage", headers=ben.headers)).json()
    ben_all.is_said_by(others["month"])

    listed = await world.get("/api/admin/usage/keys")
    by_key = listed["items"]
    costs = [Decimal(one["cost_usd"]) for one in by_key]
    assert costs == sorted(costs, reverse=True)
    owners = {(one["email"], one["name"]): one for one in by_key}
    ann_key.is_said_by(owners[ann.email, "books"])
    ann_seat.is_said_by(owners[ann.email, None])
    ben_all.is_said_by(owners[ben.email, None])
    assert (len(owners), listed["more"]) == (3, False)
    first = await world.get("/api/admin/usage/keys", limit=1)
    assert (first["items"], first["more"]) == (by_key[:1], True)
    dear = await world.get("/api/admin/usage/keys", user_id=ann.id, model="dear")
    assert {one["name"] for one in dear["items"]} == {"books", None}

    people = (await world.get("/api/admin/users"))["items"]
    hers = next(one for one in people if one["id"] == ann.id)
    ann_all.is_said_by(hers["usage"])
    assert hers["stored_bytes"] == mine["stored_bytes"]
    await check_the_books(world, ann, everyone, ann_all)


async def check_the_books(world: World, ann: Account, everyone: Tally, ann_all: Tally) -> None:
    """Check the totals as JSON and CSV, by day and as individual rows."""
    sums = (await world.get("/api/admin/usage"))["items"]
    assert sum(one["total_tokens"] for one in sums) == everyone.prompt + everyone.completion
    hers = (await world.get("/api/admin/usage", user_id=ann.id))["items"]
    assert {one["email"] for one in hers} == {ann.email}
    assert sum(one["total_tokens"] for one in hers) == ann_all.prompt + ann_all.completion
    answer = await world.gateway.http.get(
        "/api/admin/usage", headers={**world.admin, "accept": "text/csv"}, params={"detail": "rows"}
    )
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert answer.headers["content-disposition"].startswith("attachment")
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert sum(Decimal(row["cost_usd"]) for row in rows) == everyone.cost
    assert sum(row["outcome"] != "ok" for row in rows) >= 3
    answer = await world.gateway.http.get("/api/admin/usage?format=csv", headers=world.admin)
    table = list(csv.DictReader(io.StringIO(answer.text)))
    assert sum(Decimal(row["cost_usd"]) for row in table) == everyone.cost
    assert {row["model"] for row in table} >= {"small", "'=cmd|' /C calc'!A0"}
    assert not any(value.startswith(("=", "+", "-", "@")) for row in table for value in row.values())


async def insert_rows(world: World, rows: list[dict[str, Any]]) -> None:
    plain = {"kind": "chat", "model": "m", "provider": "p", "prompt_tokens": 1, "completion_tokens": 2}
    plain |= {"outcome": "ok", "latency_ms": 1, "user_id": None, "cost_usd": 0}
    for row in rows:
        row.setdefault("id", new_id())
        row.setdefault("request_id", str(row["id"]))
    async with world.gateway.container.engine.begin() as connection:
        await connection.execute(insert(UsageRecord), [{**plain, **row} for row in rows])


async def test_days_are_those_of_the_requested_zone(world: World) -> None:
    late = datetime(2026, 1, 31, 15, 30, tzinfo=UTC)  # the first of February in Seoul
    await insert_rows(world, [{"created_at": late}, {"created_at": late - timedelta(hours=1)}])
    there = await world.get(
        "/api/admin/stats", **{"from": "2026-02-01", "to": "2026-02-01", "tz": "Asia/Seoul"}
    )
    assert (there["requests"], there["by_day"][0]["requests"], len(there["by_day"])) == (1, 1, 1)
    here = await world.get("/api/admin/stats", **{"from": "2026-01-31", "to": "2026-02-01"})
    assert [day["requests"] for day in here["by_day"]] == [2, 0]
    assert here["from"] == "2026-01-31T00:00:00Z"
    sums = await world.get(
        "/api/admin/usage", **{"from": "2026-01-31", "to": "2026-02-01", "tz": "Asia/Seoul"}
    )
    assert [(one["day"], one["requests"]) for one in sums["items"]] == [("2026-01-31", 1), ("2026-02-01", 1)]


async def test_percentiles_and_errors_of_requests_with_several_calls(world: World) -> None:
    now = datetime.now(UTC)
    rows = [{"created_at": now, "latency_ms": ms} for ms in range(1, 101)]
    # One request that fell back: two calls, no error. Another whose second call failed: an error.
    rows += [
        {"created_at": now, "request_id": "over", "outcome": "upstream_failed", "latency_ms": 50},
        {"created_at": now, "request_id": "over", "latency_ms": 50},
        {"created_at": now, "request_id": "half", "latency_ms": 50},
        {"created_at": now, "request_id": "half", "kind": "tool", "latency_ms": 90_000},
        {"created_at": now, "request_id": "half", "outcome": "upstream_timeout", "latency_ms": 51},
        {"created_at": now, "request_id": "gone", "outcome": "cancelled", "latency_ms": 51},
        {"created_at": now, "request_id": "hit", "outcome": "cached", "latency_ms": 51},
    ]
    await insert_rows(world, rows)
    stats = await world.get("/api/admin/stats")
    assert (stats["requests"], stats["errors"], stats["cache_hits"]) == (104, 1, 1)
    assert stats["latency_ms"]["p50"] == pytest.approx(50.5, rel=0.03)
    assert stats["latency_ms"]["p95"] == pytest.approx(95, rel=0.03)
    assert stats["latency_ms"]["p99"] == pytest.approx(99, rel=0.13)
    assert stats["by_day"][-1]["latency_ms"] == stats["latency_ms"]
    assert (stats["by_day"][-1]["cache_hits"], stats["by_model"][0]["cache_hits"]) == (1, 1)
    kinds = {one["kind"]: one for one in stats["by_kind"]}
    assert (kinds["chat"]["calls"], kinds["chat"]["errors"], kinds["tool"]["calls"]) == (106, 2, 1)
    assert kinds["tool"]["latency_ms"]["p50"] is None


async def test_the_same_request_id_of_two_accounts_is_two_requests(world: World) -> None:
    ann, ben = await world.gateway.sign_up(), await world.gateway.sign_up()
    now = datetime.now(UTC)
    await insert_rows(
        world,
        [{"created_at": now, "user_id": UUID(who.id), "request_id": "mine"} for who in (ann, ann, ben)],
    )
    assert (await world.get("/api/admin/stats"))["requests"] == 2


async def test_pages_contain_every_row_once(world: World) -> None:
    ann = await world.gateway.sign_up()
    now = datetime.now(UTC)
    rows = [
        {"created_at": now - timedelta(days=day), "model": model, "user_id": user}
        for day in range(3)
        for model in ("b", "a", "Z", "é")
        for user in (UUID(ann.id), None)
    ]
    await insert_rows(world, rows)
    for detail in ("sums", "rows"):
        seen: list[str] = []
        cursor: dict[str, str] = {}
        while True:
            page = await world.get("/api/admin/usage", detail=detail, limit=5, **cursor)
            seen += [str(sorted(item.items(), key=lambda pair: pair[0])) for item in page["items"]]
            if page["next_cursor"] is None:
                break
            cursor = {"cursor": page["next_cursor"]}
        assert len(seen) == len(set(seen)) == 24
    days = [item["day"] for item in (await world.get("/api/admin/usage"))["items"]]
    assert days == sorted(days)


async def test_csv_is_read_in_pages_and_contains_every_row_once(world: World) -> None:
    now = datetime.now(UTC)
    await insert_rows(
        world,
        [
            {"created_at": now - timedelta(minutes=n), "model": f"m{n}", "cost_usd": "0.0000000001"}
            for n in range(23)
        ],
    )
    export = world.gateway.container.usage.csv_export
    export.page_size = 5
    for detail in ("sums", "rows"):
        answer = await world.gateway.http.get(
            "/api/admin/usage", params={"format": "csv", "detail": detail}, headers=world.admin
        )
        rows = list(csv.DictReader(io.StringIO(answer.text)))
        assert len(rows) == len({row["model"] for row in rows}) == 23
        assert sum(Decimal(row["cost_usd"]) for row in rows) == Decimal("0.0000000023")


async def test_an_impossible_range_is_rejected(world: World) -> None:
    refused = {
        "from=2026-02-01&to=2026-01-01": "from",
        "from=2020-01-01&to=2026-01-01": "to",
        "from=soon": "from",
        "tz=Nowhere/Land": "tz",
        "to=" + "9" * 39: "to",
        "cursor=nonsense": "cursor",
        "limit=0": "limit",
    }
    for path in (
        "/api/admin/stats?",
        "/api/admin/usage?",
        "/api/admin/usage?detail=rows&",
        "/api/admin/usage?format=csv&",
    ):
        for query, param in refused.items():
            if param in ("cursor", "limit") and ("stats" in path or "csv" in path):
                continue
            answer = await world.gateway.http.get(path + query, headers=world.admin)
            assert (answer.status_code, answer.json()["error"]["param"]) == (422, param), path + query


async def test_a_month_is_read_from_its_own_partition_only(world: World) -> None:
    first = datetime.now(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    during = {"start": first, "end": first + timedelta(days=27)}
    plan = await world.sql(
        "EXPLAIN SELECT count(*) FROM usage_records WHERE created_at >= :start AND created_at < :end",
        **during,
    )
    read = {line.split(" on ")[1].split()[0] for (line,) in plan if " on usage_records" in line}
    assert read == {f"usage_records_{first:%Y_%m}"}


async def test_process_metrics_are_for_administrators(world: World) -> None:
    person = await world.gateway.sign_up()
    await chat(world, person, "small")
    await chat(world, person, "broken")
    figures = await world.get("/api/metrics")
    assert set(figures) == {
        *("uptime_seconds", "requests", "in_flight", "running_turns", "status", "latency_ms", "slowest"),
        "models",
    }
    assert figures["in_flight"] >= 1
    assert figures["requests"] == sum(figures["status"].values())
    assert figures["models"]["broken"]["errors"] >= 1
    assert {"path", "method", "status", "duration_ms", "request_id"} == set(figures["slowest"][0])
    refused: httpx.Response = await world.gateway.http.get("/api/metrics", headers=person.headers)
    assert refused.status_code == 403
