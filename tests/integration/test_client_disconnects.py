"""Turns whose client disconnects: an account's go on, an API key's are cancelled."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

import pytest

from tests.support.database import fetch_rows
from tests.support.gateway import Gateway
from tests.support.ledger_audit import wait_settled
from tests.support.upstreams.openai_server import OpenAIUpstream, Reply

WORDS = tuple(f"word{n} " for n in range(20))


@dataclass(frozen=True)
class Door:
    """A route and a body for it; `kept` if a conversation keeps the turn."""

    path: str
    body: dict[str, Any]
    kept: bool
    people: bool = False

    @property
    def streams(self) -> bool:
        return bool(self.body.get("stream")) or self.path.endswith("/stream")


NATIVE = {"message": "Hi", "model": "m"}
COMPLETION = {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}
RESPONSE = {"model": "m", "input": "Hi"}
DOORS = {
    "native stream": Door("/api/chat/stream", NATIVE, kept=True, people=True),
    "native JSON": Door("/api/chat", NATIVE, kept=True, people=True),
    "completions stream": Door("/v1/chat/completions", COMPLETION | {"stream": True}, kept=False),
    "completions JSON": Door("/v1/chat/completions", COMPLETION, kept=False),
    "responses stream": Door("/v1/responses", RESPONSE | {"stream": True}, kept=True),
    "responses JSON": Door("/v1/responses", RESPONSE, kept=True),
}
PEOPLE = [name for name, door in DOORS.items() if door.people]


@dataclass
class Leaver:
    """Asks through a door, and leaves before or after the first word."""

    gateway: Gateway
    headers: dict[str, str]
    user_id: str

    async def leave(self, door: Door, upstream: OpenAIUpstream, *, after: str) -> None:
        if door.streams and after in "".join(WORDS):
            async with self.gateway.http.stream(
                "POST", door.path, json=door.body, headers=self.headers
            ) as answer:
                read = ""
                async for piece in answer.aiter_text():
                    read += piece
                    if after.strip() in read:
                        return
        asking = asyncio.create_task(self.gateway.http.post(door.path, json=door.body, headers=self.headers))
        await upstream.wait_for_calls(1)
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)

    async def ledger(self) -> tuple[int, list[str], list[tuple[str, str]]]:
        """Tokens charged, outcomes of the calls, (status, text) of the answers kept."""
        engine = self.gateway.container.engine
        await self.gateway.container.tasks.wait_idle()
        used = (await wait_settled(engine, self.user_id)).assert_consistent().tokens_used
        calls = await fetch_rows(
            engine, "SELECT outcome FROM usage_records WHERE user_id = cast(:u AS uuid)", u=self.user_id
        )
        kept = await fetch_rows(
            engine,
            "SELECT status, content FROM messages WHERE user_id = cast(:u AS uuid) AND role = 'assistant'",
            u=self.user_id,
        )
        return used, [row["outcome"] for row in calls], [(row["status"], row["content"]) for row in kept]


@pytest.fixture
def gateway_config(upstream: OpenAIUpstream) -> dict[str, Any]:
    return {
        "providers": {"up": {"type": "openai", "base_url": upstream.url}},
        "models": {"m": {"provider": "up", "model": "gpt-test", "price": {"input": 1, "output": 1}}},
        "retry": {"attempts": 1},
        "guardrails": {"people": {"injection": "off", "unsafe": "off"}},
        "tiers": {"free": {"tokens_per_day": 100000}},
    }


async def by_key(gateway: Gateway) -> Leaver:
    person = await gateway.sign_up()
    return Leaver(gateway, {"authorization": f"Bearer {await gateway.create_api_key(person)}"}, person.id)


async def by_person(gateway: Gateway) -> Leaver:
    person = await gateway.sign_up()
    return Leaver(gateway, person.headers, person.id)


@pytest.mark.parametrize("name", DOORS)
async def test_an_api_keys_turn_is_cancelled_before_its_first_delta_and_charged_once(
    gateway: Gateway, upstream: OpenAIUpstream, name: str
) -> None:
    upstream.script(Reply(text=WORDS, gate=asyncio.Event(), gate_at=0, usage=(7, 20)))
    leaver = await by_key(gateway)
    await leaver.leave(DOORS[name], upstream, after="nothing")
    await asyncio.wait_for(upstream.calls[0].disconnected.wait(), 30)
    used, outcomes, kept = await leaver.ledger()
    assert outcomes == ["cancelled"]
    assert kept == ([("cancelled", "")] if DOORS[name].kept else [])
    assert 0 <= used < 20


@pytest.mark.parametrize("name", [name for name, door in DOORS.items() if door.streams])
async def test_an_api_keys_turn_is_cancelled_midway_and_charged_for_its_output(
    gateway: Gateway, upstream: OpenAIUpstream, name: str
) -> None:
    upstream.script(Reply(text=WORDS, gate=asyncio.Event(), gate_at=5, usage=(7, 20)))
    leaver = await by_key(gateway)
    await leaver.leave(DOORS[name], upstream, after="word4 ")
    await asyncio.wait_for(upstream.calls[0].disconnected.wait(), 30)
    used, outcomes, kept = await leaver.ledger()
    assert outcomes == ["cancelled"]
    assert kept == ([("cancelled", "".join(WORDS[:5]))] if DOORS[name].kept else [])
    assert used > 0


@pytest.mark.parametrize("when", ["nothing", "word4 "])
@pytest.mark.parametrize("name", PEOPLE)
async def test_a_users_turn_continues_and_is_stored_and_charged_once(
    gateway: Gateway, upstream: OpenAIUpstream, name: str, when: str
) -> None:
    gate = asyncio.Event()
    upstream.script(Reply(text=WORDS, gate=gate, gate_at=5, usage=(7, 20)))
    leaver = await by_person(gateway)
    await leaver.leave(DOORS[name], upstream, after=when)
    await asyncio.sleep(0.6)  # longer than a whole answer's client is looked after
    assert not upstream.calls[0].disconnected.is_set()
    gate.set()
    assert await leaver.ledger() == (27, ["ok"], [("complete", "".join(WORDS))])
