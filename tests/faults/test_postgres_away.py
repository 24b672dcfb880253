"""PostgreSQL hung, out of reach, out of connections: refusals at once, life goes on, nothing is lost."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from tests.faults.ledgers import Heard
from tests.faults.stage import complete, connections_are_back, containers, hear, say, stage, until
from tests.faults.summary import Seen
from tests.upstreams.http_server import Reply

RESTARTED = "PostgreSQL restarted under 20 turns a second"
HUNG = "PostgreSQL out of reach, hung, without a connection to give"
WAIT = 8.0  # what a request may wait for a database that hangs, in seconds
BACK = 5.0  # within which all is as before


async def _serves(heard_of: list[Heard], within: float) -> None:
    assert all(heard.honest() in ("503", "error") for heard in heard_of), [h.body for h in heard_of]
    assert max(heard.seconds for heard in heard_of) < within


@pytest.mark.slow
async def test_a_database_that_hangs_costs_a_bounded_time_and_nobody_else_anything(
    database_url: str, redis_url: str, tmp_path: Path, seen: Seen
) -> None:
    async with stage(database_url, redis_url, tmp_path, database_pool_size=5) as one:
        caller = await one.caller()
        gate = asyncio.Event()
        one.upstream.script(Reply(gate=gate, gate_at=2), Reply())
        halfway = Heard()
        running = asyncio.create_task(hear(one.here, caller.as_person, {"message": "Hello?"}, heard=halfway))
        await until(lambda: halfway.text == "Hello, ")
        for door in one.doors:
            assert (await say(door, caller)).honest() == "done"

        one.database.black_hole()
        crowd = [asyncio.create_task(say(one.doors[n % 2], caller)) for n in range(40)]
        await asyncio.sleep(0.2)
        for door in one.doors:
            began = time.monotonic()
            assert (await door.http.get("/health/live")).status_code == 200
            assert time.monotonic() - began < 1
            assert (await door.http.get("/health/ready")).status_code == 503
        heard = await asyncio.gather(*crowd)
        await _serves(heard, WAIT)
        # Whoever comes while it is known to hang is told at once.
        late = await asyncio.gather(*(say(door, caller) for door in one.doors))
        await _serves(late, WAIT)
        gate.set()
        await asyncio.sleep(0.5)

        one.database.flow()
        began = time.monotonic()
        while (await say(one.here, caller)).honest() != "done":
            assert time.monotonic() - began < BACK
        while (await say(one.there, caller)).honest() != "done":
            assert time.monotonic() - began < BACK
        back = time.monotonic() - began
        await running
        assert halfway.honest() in ("done", "error")
        assert halfway.text == "Hello, world!"
        entries = await one.ledgers.check(seconds=60, calls=False)
        assert entries.answer(halfway.ids["message_id"])["content"] == "Hello, world!"
        await connections_are_back(one)
    seen(HUNG, times=len(heard) + len(late), what="503 with Retry-After, and nothing but that", back=back)
    seen(HUNG, times=1, what="the turn under way was kept whole", waited=max(h.seconds for h in heard))


async def test_a_pool_without_a_connection_to_give_refuses_at_once(
    database_url: str, redis_url: str, tmp_path: Path, seen: Seen
) -> None:
    async with stage(database_url, redis_url, tmp_path, database_pool_size=2) as one:
        caller = await one.caller()
        await complete(one.here, caller)
        (here, _) = containers(one)
        held = [await here.container.engine.connect() for _ in range(2)]
        heard = await asyncio.gather(*(say(one.here, caller) for _ in range(20)))
        await _serves(heard, WAIT)
        late = await asyncio.gather(*(say(one.here, caller) for _ in range(20)))
        await _serves(late, 2.0)  # less than what the first ones waited for a connection
        assert (await one.here.http.get("/health/live")).status_code == 200
        assert (await say(one.there, caller)).honest() == "done"
        for connection in held:
            await connection.close()
        assert (await say(one.here, caller)).honest() == "done"
        await one.ledgers.check()
    seen(
        HUNG,
        times=40,
        what="503 with Retry-After, and nothing but that",
        at_once=max(h.seconds for h in late),
    )


@pytest.mark.parametrize("how", ["reset", "refused"])
async def test_connections_that_break_are_503_at_most_and_then_made_anew(
    database_url: str, redis_url: str, tmp_path: Path, how: str, seen: Seen
) -> None:
    async with stage(database_url, redis_url, tmp_path) as one:
        caller = await one.caller()
        gates = [asyncio.Event() for _ in range(4)]
        one.upstream.script(*(Reply(gate=gate, gate_at=2) for gate in gates), Reply())
        halfway = [Heard() for _ in gates]
        running = [
            asyncio.create_task(hear(one.doors[n % 2], caller.as_person, {"message": "Hello?"}, heard=heard))
            for n, heard in enumerate(halfway)
        ]
        await until(lambda: all(heard.text == "Hello, " for heard in halfway))
        if how == "reset":
            assert one.database.reset() > 0
        else:
            await one.database.stop()
            refused = await asyncio.gather(*(say(one.doors[n % 2], caller) for n in range(10)))
            await _serves(refused, 3)
            asyncio.get_running_loop().call_later(0.8, lambda: asyncio.ensure_future(one.database.start()))
        for gate in gates:
            gate.set()
        await asyncio.gather(*running)
        assert [heard.honest() for heard in halfway] == ["done"] * 4  # the end of a turn waits a little
        assert (await say(one.here, caller)).honest() == "done"
        entries = await one.ledgers.check()
        for heard in halfway:
            assert entries.answer(heard.ids["message_id"])["status"] == "complete"
    seen(HUNG, times=len(gates), what="the turn under way was kept whole")
