"""The last requests of this process, for a look without Prometheus: bounded, and cheap to add to."""

from __future__ import annotations

import heapq
import time
from array import array
from collections import Counter
from dataclasses import dataclass
from typing import Final

KEPT: Final = 4096
SLOWEST: Final = 5


@dataclass(frozen=True, slots=True)
class SlowRequest:
    """`path` is the route's template, `status` 499 where the client left."""

    path: str
    method: str
    status: int
    duration_ms: float
    request_id: str


@dataclass(frozen=True, slots=True)
class RequestFigures:
    """What was counted; percentiles are of the last `KEPT` requests, None before the first."""

    uptime_seconds: float
    requests: int
    status: dict[int, int]
    p50: float | None
    p95: float | None
    p99: float | None
    slowest: tuple[SlowRequest, ...]


class RequestStats:
    """A ring of durations, a counter of statuses and the slowest requests since the start."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._status: Counter[int] = Counter()
        self._ring = array("d")
        self._next = 0
        self._slowest: list[tuple[float, int, SlowRequest]] = []
        self._added = 0

    def add(self, path: str, method: str, status: int, seconds: float, request_id: str) -> None:
        """Count a finished request."""
        self._added += 1
        self._status[status] += 1
        if len(self._ring) < KEPT:
            self._ring.append(seconds)
        else:
            self._ring[self._next] = seconds
            self._next = (self._next + 1) % KEPT
        if len(self._slowest) < SLOWEST or seconds > self._slowest[0][0]:
            request = SlowRequest(path, method, status, round(seconds * 1000, 2), request_id)
            place = heapq.heappush if len(self._slowest) < SLOWEST else heapq.heapreplace
            place(self._slowest, (seconds, self._added, request))

    def figures(self) -> RequestFigures:
        """All of it, as it is now."""
        durations = sorted(self._ring)
        return RequestFigures(
            uptime_seconds=round(time.monotonic() - self._began, 1),
            requests=self._added,
            status=dict(sorted(self._status.items())),
            p50=_percentile(durations, 0.50),
            p95=_percentile(durations, 0.95),
            p99=_percentile(durations, 0.99),
            slowest=tuple(request for _, _, request in sorted(self._slowest, reverse=True)),
        )


def _percentile(durations: list[float], share: float) -> float | None:
    """Milliseconds that this share of the sorted durations stays within."""
    if not durations:
        return None
    place = min(len(durations) - 1, int(share * len(durations)))
    return round(durations[place] * 1000, 2)


request_stats: Final = RequestStats()
