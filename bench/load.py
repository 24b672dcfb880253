"""The load generator: a closed loop of N connections that checks every answer."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from itertools import pairwise

from bench import wire
from bench.shapes import Shape, ShapeFactory

# No request of the benchmark may take longer.
REQUEST_TIMEOUT_SECONDS = 60.0


@dataclass(slots=True)
class Tally:
    """The results of one run; times in seconds."""

    latencies: list[float] = field(default_factory=list)
    first_tokens: list[float] = field(default_factory=list)
    gaps: list[float] = field(default_factory=list)
    reads: int = 0
    events: int = 0
    failures: int = 0
    first_failure: str = ""
    elapsed: float = 0.0

    def add(self, reply: wire.Reply) -> None:
        self.latencies.append(reply.done_at - reply.sent_at)
        self.first_tokens.append(reply.first_at - reply.sent_at)
        self.reads += len(reply.arrivals)
        self.events += reply.body.count(b"data: {")
        arrivals = reply.arrivals
        self.gaps.append(max((b - a for a, b in pairwise(arrivals)), default=0.0))

    def fail(self, reason: str) -> None:
        self.failures += 1
        self.first_failure = self.first_failure or reason


async def closed_loop(port: int, key: str, factory: ShapeFactory, connections: int, seconds: float) -> Tally:
    """Keep `connections` requests in flight for `seconds`; those started in time are completed."""
    tally = Tally()
    opened = [await wire.Connection.open(port) for _ in range(connections)]
    start = time.perf_counter()
    deadline = start + seconds
    try:
        async with asyncio.timeout(seconds + REQUEST_TIMEOUT_SECONDS):
            await asyncio.gather(*(_worker(c, port, factory(key), deadline, tally) for c in opened))
    except TimeoutError:
        tally.fail(f"answers incomplete after {REQUEST_TIMEOUT_SECONDS:.0f} s")
    tally.elapsed = time.perf_counter() - start
    return tally


async def _worker(
    connection: wire.Connection, port: int, shape: Shape, deadline: float, tally: Tally
) -> None:
    try:
        while time.perf_counter() < deadline:
            if not connection.is_open:
                connection = await wire.Connection.open(port)
            await _send_request(connection, shape, tally)
    finally:
        connection.close()


async def burst(port: int, key: str, factory: ShapeFactory, connections: int) -> Tally:
    """Send one request on each of `connections` at the same time."""
    tally = Tally()
    opened = [await wire.Connection.open(port) for _ in range(connections)]
    start = time.perf_counter()
    try:
        async with asyncio.timeout(REQUEST_TIMEOUT_SECONDS):
            await asyncio.gather(*(_send_request(c, factory(key), tally) for c in opened))
    except TimeoutError:
        tally.fail(f"answers incomplete after {REQUEST_TIMEOUT_SECONDS:.0f} s")
    finally:
        for connection in opened:
            connection.close()
    tally.elapsed = time.perf_counter() - start
    return tally


async def _send_request(connection: wire.Connection, shape: Shape, tally: Tally) -> None:
    try:
        reply = await connection.exchange(shape.request())
    except OSError as error:
        tally.fail(f"connection: {type(error).__name__}")
        await asyncio.sleep(0.01)
        return
    if shape.check(reply):
        tally.add(reply)
    else:
        tally.fail(f"status {reply.status}, {len(reply.body)} bytes: {reply.body[:160]!r}")
