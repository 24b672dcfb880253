"""Measurement of one cell of the table: a target, a request shape and a number of connections."""

from __future__ import annotations

import statistics
from collections.abc import Iterable
from dataclasses import dataclass, field

import orjson

from bench import load, machine, wire
from bench.machine import Cores
from bench.shapes import SHAPES
from bench.targets import Target


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell of the table."""

    target: str
    shape: str
    connections: int


@dataclass(frozen=True, slots=True)
class Sample:
    """The figures of one round, in seconds and bytes."""

    requests: int
    failures: int
    first_failure: str
    rate: float
    latency: float
    first_token: float
    cpu: float
    chunks: int
    upstream_requests: int
    reads: int
    events: int
    resident: int
    helpers_busy: float
    worst_gap: float
    worst_first_token: float

    @property
    def reads_per_answer(self) -> float:
        return self.reads / max(self.requests, 1)

    @property
    def events_per_answer(self) -> float:
        return self.events / max(self.requests, 1)

    @property
    def cpu_per_request(self) -> float:
        return self.cpu / max(self.requests, 1)

    @property
    def cpu_per_chunk(self) -> float:
        return self.cpu / max(self.chunks, 1)


@dataclass(slots=True)
class Results:
    """The samples of all rounds by cell."""

    samples: dict[Cell, list[Sample]] = field(default_factory=dict)

    def add(self, cell: Cell, sample: Sample) -> None:
        self.samples.setdefault(cell, []).append(sample)

    def values(self, cell: Cell, name: str) -> list[float]:
        return [float(getattr(sample, name)) for sample in self.samples.get(cell, [])]

    def median(self, cell: Cell, name: str) -> float | None:
        values = self.values(cell, name)
        return statistics.median(values) if values else None

    def failures(self, cell: Cell) -> int:
        return sum(sample.failures for sample in self.samples.get(cell, []))

    def targets(self) -> set[str]:
        return {cell.target for cell in self.samples}


async def upstream_counts(port: int) -> dict[str, int]:
    """Return the counts of the static upstream: `requests`, `streams`, `chunks`."""
    connection = await wire.Connection.open(port)
    try:
        reply = await connection.exchange(wire.get("/stats"))
    finally:
        connection.close()
    counts: dict[str, int] = orjson.loads(reply.body)
    return counts


async def sample(
    target: Target, upstream: Target, cell: Cell, seconds: float, cores: Cores, *, at_once: bool = False
) -> Sample:
    """Load the target for `seconds` (or with one request per connection, `at_once`) and measure it."""
    pids = machine.process_tree(target.pid)
    before = await upstream_counts(upstream.port)
    cpu, (busy, total) = machine.cpu_seconds(pids), machine.busy_and_total(cores.helpers)
    if at_once:
        tally = await load.burst(target.port, target.key, SHAPES[cell.shape], cell.connections)
    else:
        tally = await load.closed_loop(target.port, target.key, SHAPES[cell.shape], cell.connections, seconds)
    cpu = machine.cpu_seconds(pids) - cpu
    busy_after, total_after = machine.busy_and_total(cores.helpers)
    after = await upstream_counts(upstream.port)
    return Sample(
        requests=len(tally.latencies),
        failures=tally.failures,
        first_failure=tally.first_failure,
        rate=len(tally.latencies) / tally.elapsed,
        latency=_median(tally.latencies),
        first_token=_median(tally.first_tokens),
        cpu=cpu,
        chunks=after["chunks"] - before["chunks"],
        upstream_requests=after["requests"] - before["requests"],
        reads=tally.reads,
        events=tally.events,
        resident=machine.resident_bytes(machine.process_tree(target.pid)),
        helpers_busy=(busy_after - busy) / max(total_after - total, 1),
        worst_gap=max(tally.gaps, default=0.0),
        worst_first_token=max(tally.first_tokens, default=0.0),
    )


def _median(values: Iterable[float]) -> float:
    found = list(values)
    return statistics.median(found) if found else 0.0
