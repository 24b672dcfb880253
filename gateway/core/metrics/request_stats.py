"""Statistics of recent requests: bounded, cheap, shared by workers."""

from __future__ import annotations

import heapq
import mmap
import os
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import orjson

from gateway.core.metrics.exposition import multiprocess_directory

CAPACITY: Final = 4096
SLOWEST_COUNT: Final = 5
# Layout: two numbers (start time, count), the ring of durations, the slowest requests as JSON.
_RING_OFFSET = 16
_SLOWEST_OFFSET = _RING_OFFSET + 8 * CAPACITY
_SIZE = _SLOWEST_OFFSET + 8192
_PREFIX = "requests_"


@dataclass(frozen=True, slots=True)
class SlowRequest:
    """One of the slowest requests.

    `path` is a route template, `status` 499 a disconnect.
    """

    path: str
    method: str
    status: int
    duration_ms: float
    request_id: str


@dataclass(frozen=True, slots=True)
class RequestSummary:
    """Latency percentiles in milliseconds and the slowest requests.

    Percentiles cover the last `CAPACITY` requests of each worker; None before the first request.
    """

    uptime_seconds: float
    p50: float | None
    p95: float | None
    p99: float | None
    slowest: tuple[SlowRequest, ...]


class RequestStats:
    """Ring buffer of durations and the slowest requests since the start.

    With a `directory` the data is in a mapped file there, and `summary` covers all workers' files.
    """

    def __init__(self, directory: Path | None = None) -> None:
        self._directory = directory
        self._memory = _map_file(directory / f"{_PREFIX}{os.getpid()}") if directory else mmap.mmap(-1, _SIZE)
        self._numbers = memoryview(self._memory)[:_SLOWEST_OFFSET].cast("d")
        self._numbers[0] = time.time()
        self._numbers[1] = 0.0
        self._count = 0
        self._slowest: list[tuple[float, int, SlowRequest]] = []

    def record(self, path: str, method: str, status: int, seconds: float, request_id: str) -> None:
        """Record a completed request."""
        self._numbers[2 + self._count % CAPACITY] = seconds
        self._count += 1
        self._numbers[1] = self._count
        if len(self._slowest) < SLOWEST_COUNT or seconds > self._slowest[0][0]:
            request = SlowRequest(path, method, status, round(seconds * 1000, 2), request_id)
            place = heapq.heappush if len(self._slowest) < SLOWEST_COUNT else heapq.heapreplace
            place(self._slowest, (seconds, self._count, request))
            encoded = orjson.dumps([asdict(one) for _, _, one in self._slowest])
            self._memory[_SLOWEST_OFFSET:] = encoded[: _SIZE - _SLOWEST_OFFSET].ljust(
                _SIZE - _SLOWEST_OFFSET, b"\0"
            )

    def summary(self) -> RequestSummary:
        """Summarize the requests of all workers."""
        started, durations, slowest = time.time(), list[float](), list[SlowRequest]()
        for memory in self._worker_buffers():
            numbers = memoryview(memory)[:_SLOWEST_OFFSET].cast("d")
            started = min(started, numbers[0])
            durations += numbers[2 : 2 + min(CAPACITY, int(numbers[1]))]
            slowest += _read_slowest(memory[_SLOWEST_OFFSET:])
        durations.sort()
        slowest.sort(key=lambda one: one.duration_ms, reverse=True)
        return RequestSummary(
            uptime_seconds=round(time.time() - started, 1),
            p50=_percentile(durations, 0.50),
            p95=_percentile(durations, 0.95),
            p99=_percentile(durations, 0.99),
            slowest=tuple(slowest[:SLOWEST_COUNT]),
        )

    def _worker_buffers(self) -> Iterator[bytes]:
        if self._directory is None:
            yield self._memory[:]
            return
        for file in self._directory.glob(f"{_PREFIX}*"):
            content = file.read_bytes()
            if len(content) == _SIZE:  # otherwise its worker is still creating it
                yield content


def _map_file(path: Path) -> mmap.mmap:
    with path.open("w+b") as file:
        file.truncate(_SIZE)
        return mmap.mmap(file.fileno(), _SIZE)


def _read_slowest(encoded: bytes) -> list[SlowRequest]:
    encoded = encoded.rstrip(b"\0")
    try:
        return [SlowRequest(**one) for one in orjson.loads(encoded)] if encoded else []
    except orjson.JSONDecodeError:
        return []  # another worker is writing it


def _percentile(durations: list[float], share: float) -> float | None:
    """Return the percentile of sorted durations in milliseconds."""
    if not durations:
        return None
    place = min(len(durations) - 1, int(share * len(durations)))
    return round(durations[place] * 1000, 2)


request_stats: Final = RequestStats(multiprocess_directory())
