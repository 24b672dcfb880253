"""Upstream calls, the ledger and the reports agree, however a turn ends."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest

from gateway.guardrails.base import Guardrail, Verdict
from gateway.guardrails.pipeline import GuardrailPipeline
from gateway.repositories.turns.repository import TurnRepository
from tests.support.database import fetch_rows
from tests.support.gateway import Account, Gateway, running_gateway
from tests.support.ledger_audit import wait_settled
from tests.support.upstreams.metered_server import WORD, MeteredUpstream
from tests.support.upstreams.openai_server import Reply, Silence

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

PROMPT = WORD * 3000
LIMIT = 100_000


@asynccontextmanager
async def gateway_over(
    up: MeteredUpstream, database_url: str, redis_url: str, tmp_path: Path, **sections: Any
) -> AsyncIterator[Gateway]:
    config: dict[str, Any] = {
        "providers": {"up": {"type": "openai", "base_url": up.url}},
        "models": {
            "small": {
                "provider": "up",
                "model": "v",
                "context_window": 32_768,
                "capabilities": ["tools"],
                "price": {"input": 1, "output": 2},
            }
        },
        "routing": {"light": "small", "heavy": "small"},
        "titles": {"enabled": False},
        "tools": {"enabled": ["calculator"]},
        "cache": {"exact": {"ttl_seconds": 0}},
        "on_disconnect": {"people": "cancel", "api_keys": "cancel"},
        "guardrails": {"people": {"injection": "off", "unsafe": "off"}},
        "tiers": {"free": {"requests_per_minute": 100_000, "tokens_per_day": LIMIT}},
        **sections,
    }
    async with running_gateway(database_url, redis_url, tmp_path, config) as gateway:
        yield gateway


async def compare(gateway: Gateway, up: MeteredUpstream, person: Account, what: str) -> None:
    """The three ledgers, printed and held against each other."""
    book = (await wait_settled(gateway.container.engine, person.id)).assert_consistent()
    recorded = await fetch_rows(
        gateway.container.engine,
        "SELECT prompt_tokens, completion_tokens, cost_usd, outcome FROM usage_records"
        " WHERE user_id = :u AND kind = 'chat'",
        u=UUID(person.id),
    )
    sent = sum(prompt_of(call.body) for call in up.calls)
    usage = (await gateway.http.get("/api/user/me/usage", headers=person.headers)).json()
    charged = sum(row["prompt_tokens"] for row in recorded)
    print(
        f"{what}: upstream {len(up.calls)} calls, {sent} prompt tokens sent, {up.billed} answered; "
        f"ledger {len(recorded)} rows, {charged} prompt tokens, {book.tokens_used} in all; "
        f"report {usage['day']['total_tokens']} tokens, {usage['day']['requests']} requests"
    )
    assert len(recorded) == len(up.calls)
    assert all(row["prompt_tokens"] > 0 for row in recorded)
    assert charged == pytest.approx(sent, rel=0.05, abs=100 * len(recorded))
    assert usage["day"]["total_tokens"] == book.tokens_used
    assert Decimal(usage["month"]["cost_usd"]) == pytest.approx(book.usd_used, abs=Decimal("0.000001"))


def prompt_of(body: dict[str, Any]) -> int:
    """The tokens of a request's messages, as the upstream counts them."""
    return len(json.dumps(body["messages"])) // 4


class Slow(Guardrail):
    """Flags each question, once the model has been asked."""

    name = "injection"

    def __init__(self, up: MeteredUpstream) -> None:
        self._up = up
        self._asked = 0

    async def check(self, text: str) -> Verdict:
        self._asked += 1
        await self._up.wait_for_calls(self._asked)
        return Verdict("injection", True, 0.99, "it tries to change the instructions.", 0.1)


async def test_prompts_blocked_by_a_guard_during_the_call(
    database_url: str, redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocking = {"guardrails": {"people": {"injection": "block", "unsafe": "off"}}}
    async with (
        MeteredUpstream(answer=50) as up,
        gateway_over(up, database_url, redis_url, tmp_path, **blocking) as gateway,
    ):
        person = await gateway.sign_up()
        guardrails = gateway.container.chat.service.runner.resources.guardrails
        monkeypatch.setattr(guardrails, "check_input", GuardrailPipeline([Slow(up)]).check_input)
        for _ in range(4):
            answer = await gateway.http.post("/api/chat", json={"message": PROMPT}, headers=person.headers)
            assert answer.json()["message"]["finish_reason"] == "content_filter"
        await compare(gateway, up, person, "guard blocks")


@pytest.mark.parametrize("way", ["cancelled", "left"])
async def test_turns_that_end_before_the_first_token(
    database_url: str, redis_url: str, tmp_path: Path, way: str
) -> None:
    async with (
        MeteredUpstream() as up,
        gateway_over(up, database_url, redis_url, tmp_path) as gateway,
    ):
        up.script(Silence())
        person = await gateway.sign_up()
        for number in range(4):
            asked = asyncio.create_task(
                gateway.http.post("/api/chat/stream", json={"message": PROMPT}, headers=person.headers)
            )
            await up.wait_for_calls(number + 1)
            if way == "cancelled":
                while not gateway.container.tasks.cancel_turns_of(UUID(person.id)):  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
            else:
                asked.cancel()
            await asyncio.gather(asked, return_exceptions=True)
            await gateway.container.tasks.wait_idle()
        await compare(gateway, up, person, f"{way} before the first word")


async def test_tool_loops_with_a_small_budget(database_url: str, redis_url: str, tmp_path: Path) -> None:
    tier = {"tiers": {"free": {"requests_per_minute": 100_000, "tokens_per_day": 20_000}}}
    async with (
        MeteredUpstream(answer=100, loops=True) as up,
        gateway_over(up, database_url, redis_url, tmp_path, **tier) as gateway,
    ):
        person = await gateway.sign_up()

        async def ask() -> httpx.Response:
            return await gateway.http.post("/api/chat", json={"message": "Count."}, headers=person.headers)

        await asyncio.gather(*(ask() for _ in range(12)))
        book = (await wait_settled(gateway.container.engine, person.id)).assert_consistent()
        print(f"tool loops: upstream {len(up.calls)} calls, {up.billed} tokens; ledger {book.tokens_used}")
        assert book.tokens_used == up.billed <= 20_000 * 1.05


async def test_turns_whose_worker_was_killed(database_url: str, redis_url: str, tmp_path: Path) -> None:
    """The worker's end is its lease's end: nothing of it settles, and another sweeps."""
    async with (
        MeteredUpstream() as up,
        gateway_over(up, database_url, redis_url, tmp_path) as gateway,
    ):
        up.script(Reply(gate=asyncio.Event(), gate_at=0))
        person = await gateway.sign_up()
        ledger = gateway.container.usage.ledger
        asked = [
            asyncio.create_task(
                gateway.http.post("/api/chat", json={"message": PROMPT}, headers=person.headers)
            )
            for _ in range(3)
        ]
        await up.wait_for_calls(3)
        await ledger.renew_leases()
        await fetch_rows(
            gateway.container.engine,
            "UPDATE reservations SET expires_at = now() - interval '1 second' RETURNING 1",
        )
        while await TurnRepository(gateway.container.engine).release_expired():
            pass
        await compare(gateway, up, person, "killed worker")
        for task in asked:
            task.cancel()
        await asyncio.gather(*asked, return_exceptions=True)
        gateway.container.tasks.cancel_turns_of(UUID(person.id))
        await gateway.container.tasks.wait_idle()
        await compare(gateway, up, person, "killed worker, and what its turns settle after all")
