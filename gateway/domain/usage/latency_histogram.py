"""Latency histograms, which can be added up, and their percentiles."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.domain.usage.reports import LatencyPercentiles

# Lower bucket bounds in milliseconds, each a fifth above the previous one: percentiles are accurate to a
# fifth (mostly a few percent), and exact below 7 ms. Stored histograms depend on these values: never change
# them.
BUCKET_EDGES = tuple(sorted({round(1.2**step) for step in range(79)}))
BUCKET_COUNT = len(BUCKET_EDGES) + 1


def percentiles(counts: Sequence[int]) -> LatencyPercentiles:
    """Return the percentiles of `BUCKET_COUNT` counts, ordered by bucket."""
    total = sum(counts)
    if not total:
        return LatencyPercentiles()
    return LatencyPercentiles(*(_percentile(counts, share * total) for share in (0.5, 0.95, 0.99)))


def _percentile(counts: Sequence[int], rank: float) -> float:
    """Return the milliseconds at `rank`, interpolated linearly within its bucket."""
    lower_count = 0
    for bucket, count in enumerate(counts):
        if count and lower_count + count >= rank:
            first, last = _bucket_bounds(bucket)
            return round(first + (last - first) * (rank - lower_count) / count, 1)
        lower_count += count
    raise AssertionError("the rank exceeds the total")


def _bucket_bounds(bucket: int) -> tuple[int, int]:
    """Return the smallest and largest whole milliseconds of a bucket."""
    if bucket == 0:
        return 0, 0
    first = BUCKET_EDGES[bucket - 1]
    return first, max(first, BUCKET_EDGES[bucket] - 1) if bucket < len(BUCKET_EDGES) else first
