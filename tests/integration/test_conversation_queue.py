"""One turn at a time in a conversation: others get 409 or wait in order."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest

from gateway.repositories.turns.waiting import WaitingTurnRepository
from tests.support.database import fetch_rows, wait_for_row
from tests.support.gateway import Account, Gateway
from tests.support.ledger_audit import wait_settled
from tests.support.two_workers import two_workers
from tests.support.upstreams.openai_server import OpenAIUpstream, Reply


@pytest.fixture
async def upstream() -> AsyncIterator[OpenAIUpstream]:
    async with OpenAIUpstream() as up:
        yield up


@pytest.fixture
def queue_seconds() -> float:
    return 8


@pytest.fixture(params=["with Valkey", "without Valkey"])
async def workers(
    request: pytest.FixtureRequest,
    database_url: str,
    redis_url: str,
    tmp_path: Path,
    upstream: OpenAIUpstream,
    queue_seconds: float,
) -> AsyncIterator[tuple[Gateway, Gateway]]:
    config: dict[str, object] = {
        "providers": {"up": {"type": "openai", "base_url": upstream.url}},
        "models": {"m": {"provider": "up", "model": "gpt-test"}},
        "retry": {"attempts": 1},
        "guardrails": {"people": {"injection": "off", "unsafe": "off"}},
        "conversation_queue": {"turns": 4, "seconds": queue_seconds},
        "tiers": {"free": {}, "pro": {}},
    }
    valkey = redis_url if request.param == "with Valkey" else ""
    async with two_workers(database_url, valkey, tmp_path, config) as both:
        yield both


class Talk:
    """A conversation whose second turn is blocked by its upstream until `go` is set."""

    def __init__(self, workers: tuple[Gateway, Gateway], person: Account, upstream: OpenAIUpstream) -> None:
        self.workers = workers
        self.person = person
        self.upstream = upstream
        self.go = asyncio.Event()
        self.id = ""
        self.running_id = ""
        self.first: asyncio.Task[httpx.Response] | None = None

    @property
    def engine(self) -> Any:
        return self.workers[0].container.engine

    async def ask(self, message: str, worker: int = 0, **fields: Any) -> httpx.Response:
        body = {"message": message, "model": "m", "conversation_id": self.id or None, **fields}
        gateway = self.workers[worker]
        return await gateway.http.post("/api/chat", json=body, headers=self.person.headers)

    async def queued(self, message: str, worker: int, place: int) -> asyncio.Task[httpx.Response]:
        """Send a turn and return once it is queued."""
        asked = asyncio.create_task(self.ask(message, worker, on_busy="queue"))
        count = "SELECT 1 FROM waiting_turns WHERE conversation_id = :c HAVING count(*) = :n"
        await wait_for_row(self.engine, count, c=UUID(self.id), n=place)
        return asked

    async def begin(self) -> None:
        opened = await self.ask("one")
        self.id = opened.json()["conversation_id"]
        self.upstream.script(Reply(text=("held",), gate=self.go), Reply())
        self.first = asyncio.create_task(self.ask("two"))
        await self.upstream.wait_for_calls(2)
        (row,) = await fetch_rows(
            self.engine, "SELECT running_message_id AS id FROM conversations WHERE id = :c", c=UUID(self.id)
        )
        self.running_id = str(row["id"])

    async def questions(self) -> list[str]:
        answer = await self.workers[0].http.get(f"/api/conversations/{self.id}", headers=self.person.headers)
        said = answer.json()["messages"]
        assert [m["role"] for m in said] == ["user", "assistant"] * (len(said) // 2)
        return [m["content"] for m in said if m["role"] == "user"]


@pytest.fixture
async def talk(workers: tuple[Gateway, Gateway], upstream: OpenAIUpstream) -> Talk:
    talk = Talk(workers, await workers[0].sign_up(), upstream)
    await talk.begin()
    return talk


async def test_a_busy_conversation_rejects_with_the_running_answers_id(talk: Talk) -> None:
    for worker in (0, 1):
        busy = await talk.ask("three", worker)
        assert busy.status_code == 409
        assert busy.headers["x-should-retry"] == "false"
        assert busy.json()["error"]["code"] == "turn_in_progress"
        assert busy.json()["error"]["message_id"] == talk.running_id
    again = await talk.workers[1].http.post(
        f"/api/chat/{talk.running_id}/regenerate", headers=talk.person.headers
    )
    assert (again.status_code, again.json()["error"]["message_id"]) == (409, talk.running_id)
    talk.go.set()
    assert talk.first is not None
    assert (await talk.first).json()["message"]["id"] == talk.running_id
    assert await talk.questions() == ["one", "two"]


async def test_queued_turns_are_answered_in_order_across_workers(talk: Talk) -> None:
    waiting = [await talk.queued(f"q{n}", n % 2, n + 1) for n in range(4)]
    full = await talk.ask("too many", 1, on_busy="queue")
    assert (full.status_code, full.json()["error"]["message_id"]) == (409, talk.running_id)

    talk.go.set()
    answers = await asyncio.gather(*waiting)

    assert [answer.status_code for answer in answers] == [200] * 4
    assert await talk.questions() == ["one", "two", "q0", "q1", "q2", "q3"]
    last = [m["content"] for m in talk.upstream.calls[-1].body["messages"] if m["role"] == "user"]
    assert last == ["one", "two", "q0", "q1", "q2", "q3"]
    assert (
        await fetch_rows(
            talk.engine, "SELECT 1 FROM waiting_turns WHERE conversation_id = :c", c=UUID(talk.id)
        )
        == []
    )
    assert (await wait_settled(talk.engine, talk.person.id)).assert_consistent().tokens_reserved == 0


async def test_a_turn_that_does_not_queue_cannot_overtake_queued_ones(talk: Talk) -> None:
    turns = WaitingTurnRepository(talk.engine)
    ticket = await turns.enqueue(UUID(talk.person.id), UUID(talk.id), 4)
    assert ticket is not None
    talk.go.set()
    assert talk.first is not None
    await talk.first
    assert (await talk.ask("pushing in")).status_code == 409
    assert await turns.renew_ticket(ticket) is True
    await turns.dequeue(ticket)
    assert (await talk.ask("pushing in")).status_code == 200


async def test_a_dead_waiters_ticket_expires(talk: Talk) -> None:
    turns = WaitingTurnRepository(talk.engine)
    dead = await turns.enqueue(UUID(talk.person.id), UUID(talk.id), 4)
    alive = await talk.queued("alive", 1, 2)
    talk.go.set()
    await fetch_rows(
        talk.engine, "UPDATE waiting_turns SET expires_at = now() WHERE ticket = :t RETURNING 1", t=dead
    )
    assert (await alive).status_code == 200


@pytest.mark.parametrize("queue_seconds", [0.3])
async def test_queued_turns_are_rejected_at_the_deadline(talk: Talk) -> None:
    late = await talk.ask("late", 1, on_busy="queue")
    assert (late.status_code, late.json()["error"]["message_id"]) == (409, talk.running_id)
    talk.go.set()
    assert talk.first is not None
    await talk.first
    assert await talk.questions() == ["one", "two"]


async def test_a_stopping_worker_rejects_its_queued_turns(talk: Talk) -> None:
    waiting = await talk.queued("three", 1, 1)
    talk.workers[1].container.tasks.begin_draining(30)
    answer = await waiting
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "overloaded")
    talk.go.set()
    assert talk.first is not None
    assert (await talk.first).status_code == 200
