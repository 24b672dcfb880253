"""Workers that die and workers that are told to stop: every stream ends once, in an honest way."""

from __future__ import annotations

import asyncio
import signal
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.faults.ledgers import Heard
from tests.faults.stage import complete, hear, processes, say, stage, until
from tests.faults.summary import Seen
from tests.upstreams.http_server import Reply

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

KILLED = "worker killed in mid-stream"
STOPPED = "SIGTERM with 100 streams"
WORDS = tuple(f"word{n} " for n in range(20))
STREAMS, GRACE = 100, 8.0


async def test_a_killed_workers_streams_are_resumed_on_another_and_nothing_stays_reserved(
    database_url: str, redis_url: str, tmp_path: Path, seen: Seen
) -> None:
    async with stage(database_url, redis_url, tmp_path, processes=True) as one:
        first, second = processes(one)
        caller = await one.caller()
        one.upstream.script(Reply(text=WORDS, gate=asyncio.Event(), gate_at=10))
        streams = [Heard() for _ in range(5)]
        running = [
            asyncio.create_task(hear(first, caller.as_person, {"message": f"Number {n}"}, heard=heard))
            for n, heard in enumerate(streams)
        ]
        half = "".join(WORDS[:10])
        await until(lambda: all(heard.text == half for heard in streams), 30)
        await asyncio.sleep(2.5)  # a flush of the partial text
        killed = time.monotonic()
        await asyncio.to_thread(first.served.stop, signal.SIGKILL)
        await asyncio.gather(*running)
        assert not any(heard.whole or heard.endings for heard in streams)

        one.upstream.script(Reply())
        resumed = []
        for heard in streams:
            turn, last = heard.ids, heard.events[-1][0]
            path = f"/api/chat/stream/{turn['message_id']}"
            resumed.append(hear(second, caller.as_person | {"last-event-id": last}, {}, path, "GET"))
        rest = await asyncio.gather(*resumed)
        ended = time.monotonic() - killed
        for heard, again in zip(streams, rest, strict=True):
            assert again.honest() == "error"
            assert again.code == "overloaded"
            ids = [int(number) for number, _, _ in heard.events + again.events]
            assert ids == sorted(set(ids)), "an event was told twice or out of order"
        entries = await one.ledgers.settled(60)
        freed = time.monotonic() - killed
        assert freed < 45  # the lease, and a round of housekeeping
        for heard in streams:
            row = entries.answer(heard.ids["message_id"])
            assert (row["status"], row["content"]) == ("interrupted", half)
            following = {"conversation_id": heard.ids["conversation_id"]}
            assert (await say(second, caller, "And now?", **following)).honest() == "done"
        await one.ledgers.check(calls=False, seconds=60)
    seen(
        KILLED,
        times=len(streams),
        what="`interrupted` with all its text, told to its end by the other worker, conversation usable",
        told_after=ended,
        freed_after=freed,
    )


async def test_a_hundred_streams_end_in_one_event_each_when_their_worker_is_told_to_stop(
    database_url: str, redis_url: str, tmp_path: Path, seen: Seen
) -> None:
    environment = {"SHUTDOWN_GRACE_SECONDS": str(GRACE)}
    async with stage(database_url, redis_url, tmp_path, processes=True, environment=environment) as one:
        first, second = processes(one)
        callers = [await one.caller() for _ in range(5)]
        gate = asyncio.Event()
        half = "".join(WORDS[:10])
        steps = [
            Reply(text=WORDS, gate=gate if number % 2 else asyncio.Event(), gate_at=10)
            for number in range(STREAMS)
        ]
        one.upstream.script(*steps, Reply())
        streams = [Heard() for _ in range(STREAMS)]

        async def turn(number: int) -> Heard:
            caller, heard = callers[number % 5], streams[number]
            if number % 4 < 2:
                return await hear(first, caller.as_person, {"message": f"Number {number}"}, heard=heard)
            body = {"model": "main", "stream": True, "messages": [{"role": "user", "content": f"{number}"}]}
            return await hear(first, caller.as_key, body, "/v1/chat/completions", heard=heard)

        running = [asyncio.create_task(turn(number)) for number in range(STREAMS)]
        await until(lambda: all(heard.text == half for heard in streams), 60)
        began = time.monotonic()
        stopping = asyncio.create_task(asyncio.to_thread(first.served.stop, signal.SIGTERM))
        await asyncio.sleep(0.5)
        late = await complete(first, callers[0])
        assert late.status in (0, 503)  # refused, whether by a word or by a closed door
        gate.set()
        assert (await complete(second, callers[0])).honest() == "200"
        await asyncio.gather(*running)
        code = await stopping
        took = time.monotonic() - began
        ends = Counter(heard.honest() for heard in streams)
        assert set(ends) == {"done", "error"}
        assert code == 0
        assert took < GRACE + 10
        for heard in streams:
            assert heard.text == ("".join(WORDS) if heard.honest() == "done" else half)
            if heard.honest() == "error":
                assert heard.code == "overloaded"
        entries = await one.ledgers.check(seconds=60)
        kept = Counter((row["status"], row["content"]) for row in entries.answers())
        assert set(kept) == {("complete", "".join(WORDS)), ("interrupted", half)}
    seen(
        STOPPED,
        times=STREAMS,
        what="one last event each, `done` or `error` with the text kept; exit 0",
        finished=ends["done"],
        seconds=took,
    )
