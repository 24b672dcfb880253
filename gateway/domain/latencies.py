"""Latencies as counts in buckets, which can be added up, and the percentiles that such counts tell."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.domain.reports import Latency

# Milliseconds at which a bucket begins, each about a fifth longer than the one before: a percentile is off by
# a fifth of itself at worst (mostly a few hundredths), and by nothing below 7 ms. What is stored speaks of
# these numbers: they stay.
EDGES = tuple(sorted({round(1.2**step) for step in range(79)}))
BUCKETS = len(EDGES) + 1


def percentiles(counts: Sequence[int]) -> Latency:
    """Of `BUCKETS` counts: below the first edge, between two, from the last one on."""
    total = sum(counts)
    if not total:
        return Latency()
    return Latency(*(_percentile(counts, share * total) for share in (0.5, 0.95, 0.99)))


def _percentile(counts: Sequence[int], rank: float) -> float:
    """Milliseconds within which `rank` calls ended; those of a bucket are taken to lie evenly in it."""
    below = 0
    for bucket, count in enumerate(counts):
        if count and below + count >= rank:
            first, last = _bounds(bucket)
            return round(first + (last - first) * (rank - below) / count, 1)
        below += count
    raise AssertionError("a rank is at most the total")


def _bounds(bucket: int) -> tuple[int, int]:
    """The shortest and the longest whole number of milliseconds in a bucket."""
    if bucket == 0:
        return 0, 0
    first = EDGES[bucket - 1]
    return first, max(first, EDGES[bucket] - 1) if bucket < len(EDGES) else first
