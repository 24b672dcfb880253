"""A turn outlives its connection, lease and worker, and is cancelled from anywhere."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from time import perf_counter
from typing import Any
from uuid import UUID

import pytest

from gateway.cache.client import ValkeyClient
from gateway.cache.event_log import EventLog, LogEntry
from gateway.domain.conversations.event_codec import encode
from gateway.domain.events import RouteChosen, TextDelta, TurnStarted
from gateway.repositories.turns.repository import TurnRepository
from gateway.repositories.turns.running import PartialText, RunningTurnRepository
from gateway.services.execution.live_turn import LiveTurn
from gateway.services.streams.orphan_recovery import OrphanedTurnRecovery
from tests.support.database import StartedTurn, begin_turn, fetch_rows, finish_turn
from tests.support.gateway import PASSWORD, Account, Gateway
from tests.support.ledger_audit import read_ledger, wait_settled
from tests.support.sql_statements import recorded_statements
from tests.support.two_workers import StreamEvent, displayed_text, read_stream, two_workers
from tests.support.upstreams.openai_server import OpenAIUpstream, Reply

WORDS = tuple(f"word{n} " for n in range(40))
HALF = "".join(WORDS[:20])
TURN = {"message": "Hello", "model": "m"}


@pytest.fixture
async def upstream() -> AsyncIterator[OpenAIUpstream]:
    async with OpenAIUpstream() as up:
        yield up


def config_of(upstream: OpenAIUpstream) -> dict[str, object]:
    return {
        "providers": {"up": {"type": "openai", "base_url": upstream.url}},
        "models": {"m": {"provider": "up", "model": "gpt-test"}},
        "retry": {"attempts": 1},
        "guardrails": {"people": {"injection": "off", "unsafe": "off"}},
    }


@pytest.fixture
async def workers(
    database_url: str, redis_url: str, tmp_path: Path, upstream: OpenAIUpstream
) -> AsyncIterator[tuple[Gateway, Gateway]]:
    # With this lease nothing is renewed or recovered except by a test.
    settings = {"turn_lease_seconds": 600}
    async with two_workers(database_url, redis_url, tmp_path, config_of(upstream), **settings) as both:
        yield both


@pytest.fixture
async def person(workers: tuple[Gateway, Gateway]) -> Account:
    return await workers[0].sign_up()


async def ask_half(gateway: Gateway, person: Account) -> tuple[asyncio.Task[list[StreamEvent]], LiveTurn]:
    """A stream whose upstream pauses after half of its words."""
    following = asyncio.create_task(read_stream(gateway, person, "/api/chat/stream", body=TURN))
    tasks = gateway.container.tasks
    while not (mine := [t.live for t in tasks.persisted() if t.live and str(t.live.user_id) == person.id]):
        assert not following.done(), following.result()
        await asyncio.sleep(0.005)
    while mine[0].accumulator.text != HALF:  # noqa: ASYNC110 - what the upstream has sent
        await asyncio.sleep(0.005)
    return following, mine[0]


async def message(gateway: Gateway, message_id: UUID) -> dict[str, Any]:
    (row,) = await fetch_rows(
        gateway.container.engine, "SELECT * FROM messages WHERE id = :id", id=message_id
    )
    return row


async def expire(gateway: Gateway, live: LiveTurn | StartedTurn) -> None:
    await fetch_rows(
        gateway.container.engine,
        "UPDATE conversations SET running_until = now() - interval '1 s' WHERE id = :id RETURNING 1",
        id=live.conversation_id,
    )


def recovery_of(gateway: Gateway) -> OrphanedTurnRecovery:
    container = gateway.container
    return OrphanedTurnRecovery(RunningTurnRepository(container.engine), EventLog(container.valkey))


@pytest.mark.parametrize("where", [0, 1], ids=["its worker", "another worker"])
async def test_a_turn_can_be_cancelled_from_any_worker(
    workers: tuple[Gateway, Gateway], person: Account, upstream: OpenAIUpstream, where: int
) -> None:
    upstream.script(Reply(text=WORDS, gate=asyncio.Event(), gate_at=20))
    following, live = await ask_half(workers[0], person)
    path = f"/api/chat/{live.message_id}/cancel"

    started = perf_counter()
    answer = await workers[where].http.post(path, headers=person.headers)
    await asyncio.wait_for(upstream.calls[0].disconnected.wait(), 30)
    received = await following
    assert perf_counter() - started < 20

    assert answer.status_code == 202
    assert answer.json() == {"message_id": str(live.message_id), "status": "pending"}
    assert received[-1].name == "done"
    assert received[-1].data["message"]["status"] == "cancelled"
    assert received[-1].data["message"]["content"] == HALF
    again = await workers[1 - where].http.post(path, headers=person.headers)
    assert (again.status_code, again.json()["status"]) == (202, "cancelled")
    assert (await message(workers[0], live.message_id))["content"] == HALF
    assert (
        await wait_settled(workers[0].container.engine, person.id)
    ).assert_consistent().tokens_reserved == 0


async def test_without_valkey_a_turn_can_be_cancelled_from_another_worker(
    database_url: str, tmp_path: Path, upstream: OpenAIUpstream
) -> None:
    upstream.script(Reply(text=WORDS, gate=asyncio.Event(), gate_at=20))
    async with two_workers(database_url, "", tmp_path, config_of(upstream)) as (here, there):
        person = await here.sign_up()
        following, live = await ask_half(here, person)
        started = perf_counter()
        await there.http.post(f"/api/chat/{live.message_id}/cancel", headers=person.headers)
        await asyncio.wait_for(upstream.calls[0].disconnected.wait(), 30)
        assert perf_counter() - started < 20
        assert (await following)[-1].data["message"]["status"] == "cancelled"


async def test_an_api_key_can_cancel_only_turns_of_its_account(
    workers: tuple[Gateway, Gateway], person: Account, upstream: OpenAIUpstream
) -> None:
    upstream.script(Reply(text=WORDS, gate=asyncio.Event(), gate_at=20))
    following, live = await ask_half(workers[0], person)
    stranger = await workers[0].sign_up()
    theirs = {"authorization": f"Bearer {await workers[0].create_api_key(stranger)}"}
    path = f"/api/chat/{live.message_id}/cancel"
    refused = await workers[1].http.post(path, headers=theirs)
    assert (refused.status_code, refused.json()["error"]["code"]) == (404, "not_found")
    assert not upstream.calls[0].disconnected.is_set()
    mine = {"authorization": f"Bearer {await workers[0].create_api_key(person, scopes=['chat'])}"}
    assert (await workers[1].http.post(path, headers=mine)).status_code == 202
    assert (await following)[-1].data["message"]["status"] == "cancelled"


async def test_partial_answers_of_all_turns_are_stored_by_one_statement(
    workers: tuple[Gateway, Gateway],
    person: Account,
    upstream: OpenAIUpstream,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gate = asyncio.Event()
    upstream.script(Reply(text=WORDS, gate=gate, gate_at=20))
    asked = [await ask_half(workers[0], person) for _ in range(3)]
    async with asyncio.timeout(30):
        for _, live in asked:
            while live.persisted_count < len(live.broadcast):  # noqa: ASYNC110 - a tick of the partial-answer writer
                await asyncio.sleep(0.01)
    for _, live in asked:
        row = await message(workers[0], live.message_id)
        assert (row["content"], row["status"], row["events"]) == (HALF, "streaming", len(live.broadcast))
    with recorded_statements(monkeypatch) as sent:
        for _, live in asked:
            live.persisted_count = 0
        await workers[0].container.streams.partial_answers.tick()
    assert len([statement for statement in sent if "unnest" in statement]) == 1
    gate.set()
    for following, live in asked:
        assert (await following)[-1].name == "done"
        assert (await message(workers[0], live.message_id))["content"] == "".join(WORDS)


async def test_a_worker_that_lost_its_lease_overwrites_nothing_and_is_charged_once(
    workers: tuple[Gateway, Gateway], person: Account, upstream: OpenAIUpstream
) -> None:
    here, there = workers
    gate = asyncio.Event()
    upstream.script(Reply(text=WORDS, gate=gate, gate_at=20, usage=(5, 40)), Reply(usage=(3, 2)))
    following, live = await ask_half(here, person)
    await here.container.streams.partial_answers.tick()
    await here.container.streams.partial_answers.tick()
    await expire(here, live)

    assert await recovery_of(there).end_orphaned_turns() == 1
    conversation_id = str(live.conversation_id)
    body = {"message": "And now?", "model": "m", "conversation_id": conversation_id}
    next_turn = await there.http.post("/api/chat", json=body, headers=person.headers)
    await here.container.streams.partial_answers.tick()
    gate.set()
    received = await following

    assert next_turn.status_code == 200, next_turn.text
    assert (received[-1].name, received[-1].data["error"]["code"]) == ("error", "overloaded")
    row = await message(here, live.message_id)
    assert (row["status"], row["content"]) == ("interrupted", HALF)
    (conversation,) = await fetch_rows(
        here.container.engine, "SELECT * FROM conversations WHERE id = :id", id=live.conversation_id
    )
    assert str(conversation["head_id"]) == next_turn.json()["message"]["id"]
    assert conversation["running_message_id"] is None
    state = (await wait_settled(here.container.engine, person.id)).assert_consistent()
    assert (state.tokens_used, state.tokens_reserved) == (50, 0)


async def test_a_turn_that_lost_its_conversation_is_cancelled_at_the_next_renewal(
    workers: tuple[Gateway, Gateway], person: Account
) -> None:
    engine = workers[0].container.engine
    turns = TurnRepository(engine)
    held, lost, deleted = [await begin_turn(turns, UUID(person.id), f"q{n}") for n in range(3)]
    await expire(workers[0], lost)
    await recovery_of(workers[0]).end_orphaned_turns()
    await fetch_rows(
        engine, "DELETE FROM conversations WHERE id = :id RETURNING 1", id=deleted.conversation_id
    )

    found = await turns.renew_leases({one.answer_id: one.lease for one in (held, lost, deleted)}, 900)

    assert set(found) == {lost.answer_id, deleted.answer_id}
    (row,) = await fetch_rows(
        engine,
        "SELECT running_until > now() + interval '800 s' AS kept FROM conversations WHERE id = :id",
        id=held.conversation_id,
    )
    assert row["kept"]
    await finish_turn(turns, held, "done")


async def test_a_dead_workers_turn_ends_with_the_text_of_its_log_on_another_worker(
    workers: tuple[Gateway, Gateway], person: Account
) -> None:
    container = workers[0].container
    turns = TurnRepository(container.engine)
    dead = await begin_turn(turns, UUID(person.id), "q", lease_seconds=600)
    running = RunningTurnRepository(container.engine)
    await running.write_partial_texts([PartialText(dead.answer_id, dead.opened.lock_token, "The ", 3)], [])
    log = EventLog(container.valkey)
    started = TurnStarted("r", str(dead.conversation_id), str(dead.question_id), str(dead.answer_id))
    said = [started, RouteChosen("chat", 0.1, "m", "up", "asked"), TextDelta("The "), TextDelta("quick ")]
    await log.append([LogEntry(dead.answer_id, encode(1, said), renews_ttl=True)])
    path = f"/api/chat/stream/{dead.answer_id}"
    following = asyncio.create_task(read_stream(workers[1], person, path, after=3))
    beyond = asyncio.create_task(read_stream(workers[1], person, path, after=6))
    await asyncio.sleep(0)
    await expire(workers[0], dead)

    assert await recovery_of(workers[0]).end_orphaned_turns() == 1

    received = await following
    assert [(e.id, e.name) for e in received] == [(4, "delta"), (5, "error")]
    assert received[0].data == {"text": "quick "}
    assert received[1].data["error"]["code"] == "overloaded"
    # Text that was sent but never stored is lost: the answer falls back to the stored text.
    assert [(e.id, e.name) for e in await beyond] == [(7, "replace"), (8, "error")]
    row = await message(workers[0], dead.answer_id)
    assert (row["status"], row["content"], row["events"]) == ("interrupted", "The quick ", 4)
    assert displayed_text(await read_stream(workers[0], person, path)) == "The quick "
    after = await begin_turn(turns, UUID(person.id), "again", conversation_id=dead.conversation_id)
    assert after.history_texts == ["q", "The quick "]
    await finish_turn(turns, after, "ok")


async def test_a_dead_workers_turn_without_a_log_ends_with_its_stored_text(
    workers: tuple[Gateway, Gateway], person: Account
) -> None:
    engine = workers[0].container.engine
    turns, running = TurnRepository(engine), RunningTurnRepository(engine)
    dead = await begin_turn(turns, UUID(person.id), "q", lease_seconds=600)
    token = dead.opened.lock_token
    await running.write_partial_texts([PartialText(dead.answer_id, token, "The ", 3)], [])
    await running.write_partial_texts([PartialText(dead.answer_id, token - 1, "not its own", 9)], [])
    valkey = ValkeyClient("redis://127.0.0.1:1/0")
    recovery = OrphanedTurnRecovery(running, EventLog(valkey))
    await recovery.end_orphaned_turns()  # turns that other tests left in this database
    await expire(workers[0], dead)
    assert await recovery.end_orphaned_turns() == 1
    await running.write_partial_texts([PartialText(dead.answer_id, token, "too late", 9)], [])
    row = await message(workers[0], dead.answer_id)
    assert (row["status"], row["content"], row["events"]) == ("interrupted", "The ", 3)
    assert (await read_ledger(engine, person.id)).assert_consistent().tokens_reserved == 0
    await valkey.aclose()


async def test_deleting_an_account_deletes_the_event_logs_of_its_turns(
    workers: tuple[Gateway, Gateway], person: Account
) -> None:
    container = workers[0].container
    begun = await begin_turn(TurnRepository(container.engine), UUID(person.id), "q")
    await EventLog(container.valkey).append([LogEntry(begun.answer_id, encode(1, [TextDelta("secret")]))])
    gone = await workers[1].http.request(
        "DELETE", "/api/user/me", json={"password": PASSWORD}, headers=person.headers
    )
    assert gone.status_code == 204
    assert await EventLog(container.valkey).read(begun.answer_id) == []
