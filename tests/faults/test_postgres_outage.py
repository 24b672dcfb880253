"""PostgreSQL hung, unreachable or out of connections: immediate 503s, no loss."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from tests.faults.summary import RecordFault
from tests.support.consistency import ClientResponse
from tests.support.two_worker_stage import (
    create_completion,
    local_workers,
    send_request,
    stream_turn,
    two_worker_stage,
    wait_pools_idle,
    wait_until,
)
from tests.support.upstreams.http_server import Reply

RESTARTED = "PostgreSQL restarted under 20 turns a second"
HUNG = "PostgreSQL unreachable, hung, without a free connection"
WAIT = 8.0  # what a request may wait for a database that hangs, in seconds
BACK = 5.0  # within which all is as before


async def _serves(heard_of: list[ClientResponse], within: float) -> None:
    assert all(heard.assert_one_ending() in ("503", "error") for heard in heard_of), [
        h.body for h in heard_of
    ]
    assert max(heard.seconds for heard in heard_of) < within


@pytest.mark.slow
async def test_a_hung_database_costs_a_bounded_time(
    database_url: str, redis_url: str, tmp_path: Path, seen: RecordFault
) -> None:
    async with two_worker_stage(database_url, redis_url, tmp_path, database_pool_size=5) as one:
        caller = await one.add_caller()
        gate = asyncio.Event()
        one.upstream.script(Reply(gate=gate, gate_at=2), Reply())
        halfway = ClientResponse()
        running = asyncio.create_task(
            send_request(one.first, caller.token_headers, {"message": "Hello?"}, response=halfway)
        )
        await wait_until(lambda: halfway.text == "Hello, ")
        for door in one.workers:
            assert (await stream_turn(door, caller)).assert_one_ending() == "done"

        one.database.black_hole()
        crowd = [asyncio.create_task(stream_turn(one.workers[n % 2], caller)) for n in range(40)]
        await asyncio.sleep(0.2)
        for door in one.workers:
            began = time.monotonic()
            assert (await door.http.get("/health/live")).status_code == 200
            assert time.monotonic() - began < 1
            assert (await door.http.get("/health/ready")).status_code == 503
        heard = await asyncio.gather(*crowd)
        await _serves(heard, WAIT)
        # Requests during a known outage are rejected at once.
        late = await asyncio.gather(*(stream_turn(door, caller) for door in one.workers))
        await _serves(late, WAIT)
        gate.set()
        await asyncio.sleep(0.5)

        one.database.flow()
        began = time.monotonic()
        while (await stream_turn(one.first, caller)).assert_one_ending() != "done":
            assert time.monotonic() - began < BACK
        while (await stream_turn(one.second, caller)).assert_one_ending() != "done":
            assert time.monotonic() - began < BACK
        back = time.monotonic() - began
        await running
        assert halfway.assert_one_ending() in ("done", "error")
        assert halfway.text == "Hello, world!"
        entries = await one.checker.assert_consistent(seconds=60, calls=False)
        assert entries.message_row(halfway.turn_ids["message_id"])["content"] == "Hello, world!"
        await wait_pools_idle(one)
    seen(HUNG, times=len(heard) + len(late), what="only 503 with Retry-After", back=back)
    seen(HUNG, times=1, what="the running turn was stored completely", waited=max(h.seconds for h in heard))


async def test_an_exhausted_pool_returns_503_at_once(
    database_url: str, redis_url: str, tmp_path: Path, seen: RecordFault
) -> None:
    async with two_worker_stage(database_url, redis_url, tmp_path, database_pool_size=2) as one:
        caller = await one.add_caller()
        await create_completion(one.first, caller)
        (here, _) = local_workers(one)
        held = [await here.container.engine.connect() for _ in range(2)]
        heard = await asyncio.gather(*(stream_turn(one.first, caller) for _ in range(20)))
        await _serves(heard, WAIT)
        late = await asyncio.gather(*(stream_turn(one.first, caller) for _ in range(20)))
        await _serves(late, 2.0)  # less than what the first ones waited for a connection
        assert (await one.first.http.get("/health/live")).status_code == 200
        assert (await stream_turn(one.second, caller)).assert_one_ending() == "done"
        for connection in held:
            await connection.close()
        assert (await stream_turn(one.first, caller)).assert_one_ending() == "done"
        await one.checker.assert_consistent()
    seen(
        HUNG,
        times=40,
        what="only 503 with Retry-After",
        at_once=max(h.seconds for h in late),
    )


@pytest.mark.parametrize("how", ["reset", "refused"])
async def test_broken_connections_cause_503_at_most_and_are_reopened(
    database_url: str, redis_url: str, tmp_path: Path, how: str, seen: RecordFault
) -> None:
    async with two_worker_stage(database_url, redis_url, tmp_path) as one:
        caller = await one.add_caller()
        gates = [asyncio.Event() for _ in range(4)]
        one.upstream.script(*(Reply(gate=gate, gate_at=2) for gate in gates), Reply())
        halfway = [ClientResponse() for _ in gates]
        running = [
            asyncio.create_task(
                send_request(one.workers[n % 2], caller.token_headers, {"message": "Hello?"}, response=heard)
            )
            for n, heard in enumerate(halfway)
        ]
        await wait_until(lambda: all(heard.text == "Hello, " for heard in halfway))
        if how == "reset":
            assert one.database.reset() > 0
        else:
            await one.database.stop()
            refused = await asyncio.gather(*(stream_turn(one.workers[n % 2], caller) for n in range(10)))
            await _serves(refused, 3)
            asyncio.get_running_loop().call_later(0.8, lambda: asyncio.ensure_future(one.database.start()))
        for gate in gates:
            gate.set()
        await asyncio.gather(*running)
        assert [heard.assert_one_ending() for heard in halfway] == [
            "done"
        ] * 4  # the end of a turn waits a little
        assert (await stream_turn(one.first, caller)).assert_one_ending() == "done"
        entries = await one.checker.assert_consistent()
        for heard in halfway:
            assert entries.message_row(heard.turn_ids["message_id"])["status"] == "complete"
    seen(HUNG, times=len(gates), what="the running turn was stored completely")
