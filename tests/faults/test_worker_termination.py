"""Workers that are killed or stopped: every stream ends exactly once."""

from __future__ import annotations

import asyncio
import signal
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.faults.summary import RecordFault
from tests.support.consistency import ClientResponse
from tests.support.two_worker_stage import (
    create_completion,
    send_request,
    stream_turn,
    two_worker_stage,
    wait_until,
    worker_processes,
)
from tests.support.upstreams.http_server import Reply

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

KILLED = "worker killed in mid-stream"
STOPPED = "SIGTERM with 100 streams"
WORDS = tuple(f"word{n} " for n in range(20))
STREAMS, GRACE = 100, 8.0


async def test_streams_of_a_killed_worker_are_resumed_on_another_and_reservations_released(
    database_url: str, redis_url: str, tmp_path: Path, seen: RecordFault
) -> None:
    async with two_worker_stage(database_url, redis_url, tmp_path, processes=True) as one:
        first, second = worker_processes(one)
        caller = await one.add_caller()
        one.upstream.script(Reply(text=WORDS, gate=asyncio.Event(), gate_at=10))
        streams = [ClientResponse() for _ in range(5)]
        running = [
            asyncio.create_task(
                send_request(first, caller.token_headers, {"message": f"Number {n}"}, response=heard)
            )
            for n, heard in enumerate(streams)
        ]
        half = "".join(WORDS[:10])
        await wait_until(lambda: all(heard.text == half for heard in streams), 30)
        await asyncio.sleep(2.5)  # a flush of the partial text
        killed = time.monotonic()
        await asyncio.to_thread(first.process.stop, signal.SIGKILL)
        await asyncio.gather(*running)
        assert not any(heard.completed or heard.terminal_events for heard in streams)

        one.upstream.script(Reply())
        resumed = []
        for heard in streams:
            turn, last = heard.turn_ids, heard.events[-1][0]
            path = f"/api/chat/stream/{turn['message_id']}"
            resumed.append(
                send_request(second, caller.token_headers | {"last-event-id": last}, {}, path, "GET")
            )
        rest = await asyncio.gather(*resumed)
        ended = time.monotonic() - killed
        for heard, again in zip(streams, rest, strict=True):
            assert again.assert_one_ending() == "error"
            assert again.error_code == "overloaded"
            ids = [int(number) for number, _, _ in heard.events + again.events]
            assert ids == sorted(set(ids)), "an event was sent twice or out of order"
        entries = await one.checker.wait_settled(60)
        freed = time.monotonic() - killed
        assert freed < 45  # the lease, and a round of housekeeping
        for heard in streams:
            row = entries.message_row(heard.turn_ids["message_id"])
            assert (row["status"], row["content"]) == ("interrupted", half)
            following = {"conversation_id": heard.turn_ids["conversation_id"]}
            assert (await stream_turn(second, caller, "And now?", **following)).assert_one_ending() == "done"
        await one.checker.assert_consistent(calls=False, seconds=60)
    seen(
        KILLED,
        times=len(streams),
        what="`interrupted` with all its text, stream ended by the other worker, conversation usable",
        ended_after=ended,
        freed_after=freed,
    )


async def test_a_hundred_streams_each_end_in_one_event_when_their_worker_is_stopped(
    database_url: str, redis_url: str, tmp_path: Path, seen: RecordFault
) -> None:
    environment = {"SHUTDOWN_GRACE_SECONDS": str(GRACE)}
    async with two_worker_stage(
        database_url, redis_url, tmp_path, processes=True, environment=environment
    ) as one:
        first, second = worker_processes(one)
        callers = [await one.add_caller() for _ in range(5)]
        gate = asyncio.Event()
        half = "".join(WORDS[:10])
        steps = [
            Reply(text=WORDS, gate=gate if number % 2 else asyncio.Event(), gate_at=10)
            for number in range(STREAMS)
        ]
        one.upstream.script(*steps, Reply())
        streams = [ClientResponse() for _ in range(STREAMS)]

        async def turn(number: int) -> ClientResponse:
            caller, heard = callers[number % 5], streams[number]
            if number % 4 < 2:
                return await send_request(
                    first, caller.token_headers, {"message": f"Number {number}"}, response=heard
                )
            body = {"model": "main", "stream": True, "messages": [{"role": "user", "content": f"{number}"}]}
            return await send_request(first, caller.key_headers, body, "/v1/chat/completions", response=heard)

        running = [asyncio.create_task(turn(number)) for number in range(STREAMS)]
        await wait_until(lambda: all(heard.text == half for heard in streams), 60)
        began = time.monotonic()
        stopping = asyncio.create_task(asyncio.to_thread(first.process.stop, signal.SIGTERM))
        await asyncio.sleep(0.5)
        late = await create_completion(first, callers[0])
        assert late.status in (0, 503)  # refused, whether by a word or by a closed door
        gate.set()
        assert (await create_completion(second, callers[0])).assert_one_ending() == "200"
        await asyncio.gather(*running)
        code = await stopping
        took = time.monotonic() - began
        ends = Counter(heard.assert_one_ending() for heard in streams)
        assert set(ends) == {"done", "error"}
        assert code == 0
        assert took < GRACE + 10
        for heard in streams:
            assert heard.text == ("".join(WORDS) if heard.assert_one_ending() == "done" else half)
            if heard.assert_one_ending() == "error":
                assert heard.error_code == "overloaded"
        entries = await one.checker.assert_consistent(seconds=60)
        kept = Counter((row["status"], row["content"]) for row in entries.answer_rows())
        assert set(kept) == {("complete", "".join(WORDS)), ("interrupted", half)}
    seen(
        STOPPED,
        times=STREAMS,
        what="one final event each, `done` or `error` with the text stored; exit 0",
        finished=ends["done"],
        seconds=took,
    )
