"""Latencies as counts in buckets, which can be added up, and the percentiles that such counts tell."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.domain.usage.reports import LatencyPercentiles

# Milliseconds at which a bucket begins, each about a fifth longer than the one before: a percentile is off by
# a fifth of itself at worst (mostly a few hundredths), and by nothing below 7 ms. What is stored speaks of
# these numbers: they stay.
BUCKET_EDGES = tuple(sorted({round(1.2**step) for step in range(79)}))
BUCKET_COUNT = len(BUCKET_EDGES) + 1


def percentiles(counts: Sequence[int]) -> LatencyPercentiles:
    """Of `BUCKETS` counts: below the first edge, between two, from the last one on."""
    total = sum(counts)
    if not total:
        return LatencyPercentiles()
    return LatencyPercentiles(*(_percentile(counts, share * total) for share in (0.5, 0.95, 0.99)))


def _percentile(counts: Sequence[int], rank: float) -> float:
    """Milliseconds within which `rank` calls ended; those of a bucket are taken to lie evenly in it."""
    lower_count = 0
    for bucket, count in enumerate(counts):
        if count and lower_count + count >= rank:
            first, last = _bucket_bounds(bucket)
            return round(first + (last - first) * (rank - lower_count) / count, 1)
        lower_count += count
    raise AssertionError("a rank is at most the total")


def _bucket_bounds(bucket: int) -> tuple[int, int]:
    """The shortest and the longest whole number of milliseconds in a bucket."""
    if bucket == 0:
        return 0, 0
    first = BUCKET_EDGES[bucket - 1]
    return first, max(first, BUCKET_EDGES[bucket] - 1) if bucket < len(BUCKET_EDGES) else first
