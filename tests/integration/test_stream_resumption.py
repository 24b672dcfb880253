"""Resume a lost stream on its worker, on another one, or from the stored message."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import UUID

import httpx
import pytest

from gateway.services.execution.live_turn import LiveTurn
from gateway.services.streams import event_log_writer
from tests.support.gateway import Account, Gateway
from tests.support.two_workers import StreamEvent, displayed_text, parse_events, read_stream, two_workers
from tests.support.upstreams.openai_server import OpenAIUpstream, Reply

WORDS = tuple(f"word{n} " for n in range(40))
TURN = {"message": "Hello", "model": "m"}


@pytest.fixture
async def upstream() -> AsyncIterator[OpenAIUpstream]:
    async with OpenAIUpstream() as up:
        yield up


@pytest.fixture
async def workers(
    database_url: str, redis_url: str, tmp_path: Path, upstream: OpenAIUpstream
) -> AsyncIterator[tuple[Gateway, Gateway]]:
    config: dict[str, object] = {
        "providers": {"up": {"type": "openai", "base_url": upstream.url}},
        "models": {"m": {"provider": "up", "model": "gpt-test"}},
        "retry": {"attempts": 1},
        "guardrails": {"people": {"injection": "off", "unsafe": "off"}},
    }
    async with two_workers(database_url, redis_url, tmp_path, config) as both:
        yield both


@pytest.fixture
def gateway(workers: tuple[Gateway, Gateway]) -> Gateway:
    return workers[0]


@pytest.fixture
async def person(gateway: Gateway) -> Account:
    return await gateway.sign_up()


def begun(events: list[StreamEvent]) -> str:
    """The message's id."""
    message_id = events[0].data["message_id"]
    assert isinstance(message_id, str)
    return message_id


async def lose(gateway: Gateway, person: Account, words: int) -> list[StreamEvent]:
    """Start a stream and disconnect after some words."""
    return await read_stream(
        gateway,
        person,
        "/api/chat/stream",
        body=TURN,
        until=lambda received: len(displayed_text(received).split()) >= words,
    )


async def recorded(gateway: Gateway, message_id: str) -> None:
    """Wait until the event log has all events of the turn."""
    live = live_turn(gateway, message_id)
    while live.logged_count < len(live.broadcast):  # noqa: ASYNC110 - a tick of the event log writer
        await asyncio.sleep(0.01)


def live_turn(gateway: Gateway, message_id: str) -> LiveTurn:
    """The running turn of that worker."""
    running = gateway.container.tasks.by_message(UUID(message_id))
    assert running is not None
    assert running.live is not None
    return running.live


@pytest.mark.parametrize("where", [0, 1], ids=["the same worker", "another worker"])
async def test_a_lost_stream_is_resumed_without_gaps_or_duplicates(
    workers: tuple[Gateway, Gateway], person: Account, upstream: OpenAIUpstream, where: int
) -> None:
    gate = asyncio.Event()
    upstream.script(Reply(text=WORDS, gate=gate, gate_at=20, pause=0.002))
    lost = await lose(workers[0], person, 7)
    await recorded(workers[0], begun(lost))
    path = f"/api/chat/stream/{begun(lost)}"

    following = asyncio.create_task(read_stream(workers[where], person, path, after=lost[-1].id))
    whole = asyncio.create_task(read_stream(workers[where], person, path))
    beside = asyncio.create_task(read_stream(workers[1 - where], person, path, after=3))
    partial = await read_stream(
        workers[where], person, path, until=lambda received: displayed_text(received) == "".join(WORDS[:20])
    )
    assert [event.id for event in partial] == list(range(1, len(partial) + 1))
    gate.set()
    rest, again, third = await following, await whole, await beside

    assert [event.id for event in [*lost, *rest]] == list(range(1, len(lost) + len(rest) + 1))
    assert displayed_text([*lost, *rest]) == "".join(WORDS)
    assert [event.name for event in rest].count("done") == 1
    assert [(event.id, event.name) for event in again] == [(e.id, e.name) for e in [*lost, *rest]]
    assert [event.data for event in again[:-1]] == [event.data for event in [*lost, *rest][:-1]]
    assert [(event.id, event.name) for event in third] == [(e.id, e.name) for e in again[3:]]


async def test_an_ended_turn_is_replayed_with_the_same_ids_on_every_worker(
    workers: tuple[Gateway, Gateway], person: Account, upstream: OpenAIUpstream
) -> None:
    gate = asyncio.Event()
    upstream.script(Reply(text=WORDS, gate=gate, gate_at=20))
    lost = await lose(workers[0], person, 1)
    live = live_turn(workers[0], begun(lost))
    asking = asyncio.create_task(read_stream(workers[0], person, f"/api/chat/stream/{begun(lost)}"))
    await recorded(workers[0], begun(lost))
    gate.set()
    received = await asking
    while live.logged_count < len(live.broadcast):  # noqa: ASYNC110 - a tick of the event log writer
        await asyncio.sleep(0.01)

    for worker in workers:
        again = await read_stream(worker, person, f"/api/chat/stream/{begun(received)}")
        assert [(e.id, e.name) for e in again] == [(e.id, e.name) for e in received]
        assert again[-1].data["message"]["content"] == "".join(WORDS)
        from_the_end = await read_stream(
            worker, person, f"/api/chat/stream/{begun(received)}", after=received[-1].id
        )
        assert [(e.id, e.name) for e in from_the_end] == [(received[-1].id, "done")]


async def test_without_an_event_log_the_stream_is_resumed_from_the_message(
    gateway: Gateway, person: Account, upstream: OpenAIUpstream
) -> None:
    received = await read_stream(gateway, person, "/api/chat/stream", body=TURN)
    done = received[-1]
    await gateway.container.valkey.execute("UNLINK", f"turn:{UUID(begun(received)).hex}")
    path = f"/api/chat/stream/{begun(received)}"

    again = await read_stream(gateway, person, path)
    assert [(e.id, e.name) for e in again] == [(1, "turn"), (done.id - 1, "replace"), (done.id, "done")]
    assert again[0].data["message_id"] == begun(received)
    assert again[1].data["text"] == "Hello, world!"
    message, stored = dict(done.data["message"]), dict(again[2].data["message"])
    assert message.pop("created_at")
    assert stored.pop("created_at")
    assert (message, done.data["cache"], done.data["receipt"]) == (
        stored,
        again[2].data["cache"],
        again[2].data["receipt"],
    )
    behind = await read_stream(gateway, person, path, after=1)
    assert [(e.id, e.name) for e in behind] == [(done.id - 1, "replace"), (done.id, "done")]
    # A client with all of the text gets none of it again; one that claims more than exists gets it all.
    assert [e.name for e in await read_stream(gateway, person, path, after=done.id - 1)] == ["done"]
    assert [(e.id, e.name) for e in await read_stream(gateway, person, path, after=99)] == [
        (100, "replace"),
        (101, "done"),
    ]


async def test_without_valkey_another_worker_streams_the_stored_message(
    database_url: str, tmp_path: Path, upstream: OpenAIUpstream
) -> None:
    config: dict[str, object] = {
        "providers": {"up": {"type": "openai", "base_url": upstream.url}},
        "models": {"m": {"provider": "up", "model": "gpt-test"}},
        "guardrails": {"people": {"injection": "off", "unsafe": "off"}},
    }
    gate = asyncio.Event()
    upstream.script(Reply(text=WORDS, gate=gate, gate_at=20, pause=0.002))
    async with two_workers(database_url, "", tmp_path, config) as (here, there):
        person = await here.sign_up()
        lost = await lose(here, person, 7)
        following = asyncio.create_task(
            read_stream(there, person, f"/api/chat/stream/{begun(lost)}", after=lost[-1].id)
        )
        same = asyncio.create_task(
            read_stream(here, person, f"/api/chat/stream/{begun(lost)}", after=lost[-1].id)
        )
        await asyncio.sleep(0)
        gate.set()
        rest = await following
        assert displayed_text([*lost, *rest]) == "".join(WORDS)
        assert [e.id for e in rest] == sorted({e.id for e in rest})
        assert rest[-1].name == "done"
        assert (await same)[-1].id == rest[-1].id


async def test_a_log_that_is_too_long_continues_with_a_snapshot(
    workers: tuple[Gateway, Gateway],
    person: Account,
    upstream: OpenAIUpstream,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(event_log_writer, "MAX_LOG_ENTRIES", 2)
    monkeypatch.setattr(event_log_writer, "TICK_SECONDS", 0.01)
    gate = asyncio.Event()
    upstream.script(Reply(text=WORDS, gate=gate, gate_at=39, pause=0.01))
    lost = await lose(workers[0], person, 3)
    key = f"turn:{UUID(begun(lost)).hex}"
    following = asyncio.create_task(
        read_stream(workers[1], person, f"/api/chat/stream/{begun(lost)}", after=lost[-1].id)
    )
    live = live_turn(workers[0], begun(lost))
    while live.accumulator.text != "".join(WORDS[:39]):  # noqa: ASYNC110 - what the upstream has sent
        await asyncio.sleep(0.01)
    await recorded(workers[0], begun(lost))
    assert await workers[0].container.valkey.execute("XLEN", key) <= 2
    late = asyncio.create_task(read_stream(workers[1], person, f"/api/chat/stream/{begun(lost)}"))
    gate.set()
    rest, all_of_it = await following, await late
    assert displayed_text([*lost, *rest]) == displayed_text(all_of_it) == "".join(WORDS)
    assert [e.name for e in all_of_it][:2] == ["turn", "replace"]
    assert [e.id for e in rest] == sorted({e.id for e in rest})
    assert rest[-1].id == all_of_it[-1].id == len(live.broadcast)


async def test_a_failed_turn_ends_with_its_error(
    workers: tuple[Gateway, Gateway], person: Account, upstream: OpenAIUpstream
) -> None:
    upstream.script(Reply(fault="reset", after=2))
    received = await read_stream(workers[0], person, "/api/chat/stream", body=TURN)

    again = await read_stream(workers[1], person, f"/api/chat/stream/{begun(received)}")

    assert [e.name for e in again] == ["turn", "replace", "error"]
    assert again[1].data["text"] == "Hello, "
    assert again[2].data["error"]["code"] == "upstream_failed"
    assert again[2].id == received[-1].id


async def test_the_last_event_id_may_be_a_query_parameter(gateway: Gateway, person: Account) -> None:
    received = await read_stream(gateway, person, "/api/chat/stream", body=TURN)
    path = f"/api/chat/stream/{begun(received)}?last_event_id={received[-1].id - 1}"
    assert [e.name for e in await read_stream(gateway, person, path)] == ["done"]
    nonsense = await gateway.http.get(
        f"/api/chat/stream/{begun(received)}?last_event_id=x", headers=person.headers
    )
    assert parse_events(nonsense.text)[0].name == "turn"


@pytest.mark.parametrize("running", [True, False])
async def test_another_accounts_turn_and_a_question_are_not_found(
    gateway: Gateway, person: Account, upstream: OpenAIUpstream, running: bool
) -> None:
    gate = asyncio.Event()
    upstream.script(Reply(gate=gate))
    if not running:
        gate.set()
    stranger = await gateway.sign_up()
    asking = asyncio.create_task(read_stream(gateway, person, "/api/chat/stream", body=TURN))
    await upstream.wait_for_calls(1)
    if running:
        (turn,) = [
            t for t in gateway.container.tasks.persisted() if t.live and str(t.live.user_id) == person.id
        ]
        assert turn.live is not None
        started = turn.live.broadcast.turn_started
    else:
        started = None
        received = await asking
    answer_id = str(started.message_id) if started else begun(received)
    question_id = str(started.user_message_id) if started else received[0].data["user_message_id"]
    for who, what in ((stranger, answer_id), (person, question_id)):
        with pytest.raises(httpx.HTTPStatusError, match="not_found"):
            await read_stream(gateway, who, f"/api/chat/stream/{what}")
    gate.set()
    await asking
