"""Reports count requests as they were sent, and exclude dropped months."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import text

from tests.support.database import fetch_rows
from tests.support.gateway import Gateway, set_role
from tests.support.upstreams.openai_server import OpenAIUpstream, Refusal

STATS = "/api/admin/stats"


@pytest.fixture
async def light() -> AsyncIterator[OpenAIUpstream]:
    async with OpenAIUpstream() as upstream:
        upstream.script(Refusal(500))
        yield upstream


@pytest.fixture
def gateway_config(upstream: OpenAIUpstream, light: OpenAIUpstream) -> dict[str, Any]:
    return {
        "providers": {
            "up": {"type": "openai", "base_url": upstream.url},
            "light": {"type": "openai", "base_url": light.url},
        },
        "models": {name: {"provider": name, "model": "v"} for name in ("up", "light")},
        "routing": {"light": "light", "heavy": "up"},
        "retry": {"attempts": 1},
        "cache": {"exact": {"ttl_seconds": 0}},
        "titles": {"enabled": True},
        "guardrails": {"people": {"injection": "off", "unsafe": "off"}},
        "tiers": {"free": {"requests_per_minute": 1000}},
    }


async def test_ten_turns_with_one_request_id_are_ten_requests(gateway: Gateway) -> None:
    person = await gateway.sign_up()
    headers = {"x-api-key": await gateway.create_api_key(person), "x-request-id": f"same-{uuid.uuid4()}"}
    body = {"model": "up", "messages": [{"role": "user", "content": "Hi"}]}
    for _ in range(10):
        answer = await gateway.http.post("/v1/chat/completions", json=body, headers=headers)
        assert answer.headers["x-request-id"] == headers["x-request-id"]
    usage = (await gateway.http.get("/api/user/me/usage", headers=person.headers)).json()
    assert (usage["day"]["requests"], usage["by_model"][0]["requests"]) == (10, 10)


async def test_a_failed_title_is_neither_a_request_nor_an_error(
    gateway: Gateway, light: OpenAIUpstream
) -> None:
    person, admin = await gateway.sign_up(), await gateway.sign_up()
    await set_role(gateway, admin)

    async def counted() -> dict[str, Any]:
        stats = (await gateway.http.get(STATS, headers=admin.headers)).json()
        return {name: stats[name] for name in ("requests", "errors")}

    before = await counted()
    asked = {"message": "Tell me about the tides, please.", "model": "up"}
    answer = await gateway.http.post("/api/chat", json=asked, headers=person.headers)
    assert answer.status_code == 200
    await gateway.container.chat.service.titles.wait_idle()
    assert light.calls
    after = await counted()
    assert (after["requests"], after["errors"]) == (before["requests"] + 1, before["errors"])
    usage = (await gateway.http.get("/api/user/me/usage", headers=person.headers)).json()
    assert usage["day"]["requests"] == 1
    steps = await fetch_rows(
        gateway.container.engine, "SELECT step FROM usage_records WHERE user_id = :u", u=uuid.UUID(person.id)
    )
    assert {row["step"] for row in steps} == {None, "title"}


async def test_a_dropped_month_leaves_no_totals(gateway: Gateway) -> None:
    engine = gateway.container.engine
    january = datetime(2024, 1, 15, 12, tzinfo=UTC)
    row = {"id": uuid.uuid4(), "at": january, "u": uuid.UUID((await gateway.sign_up()).id)}
    async with engine.begin() as db:
        await db.execute(
            text(
                "INSERT INTO usage_records (id, created_at, user_id, kind, model, provider, request_id)"
                " VALUES (:id, :at, :u, 'chat', 'old', 'up', 'r')"
            ),
            row,
        )
        await db.execute(
            text(
                "INSERT INTO usage_slots (slot, model, provider, kind, calls, failed, cached, requests,"
                " requests_of_model, requests_of_kind, errors, prompt_tokens, completion_tokens, cost_usd)"
                " VALUES (:at, 'old', 'up', 'chat', 1, 0, 0, 1, 1, 1, 0, 5, 5, 0.5)"
            ),
            row,
        )
        await db.execute(
            text("INSERT INTO usage_days (day, user_id, slots) VALUES ('2024-01-15', :u, 1)"), row
        )
    await fetch_rows(engine, "SELECT drop_usage_month('2024-01-31')::text")
    for table, column in (("usage_records", "created_at"), ("usage_slots", "slot"), ("usage_days", "day")):
        left = await fetch_rows(engine, f"SELECT 1 FROM {table} WHERE {column} < '2024-02-01'")
        assert left == [], table
