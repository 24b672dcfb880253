"""What a process remembers of its requests: little, and right."""

from __future__ import annotations

from gateway.core.request_stats import KEPT, SLOWEST, RequestStats


def test_before_the_first_request_there_are_no_percentiles() -> None:
    figures = RequestStats().figures()
    assert (figures.requests, figures.p50, figures.p99, figures.slowest) == (0, None, None, ())


def test_counts_are_of_all_and_percentiles_of_the_last_ones() -> None:
    stats = RequestStats()
    for number in range(KEPT):
        stats.add("/old", "GET", 200, 100.0, f"old-{number}")
    for number in range(KEPT):
        stats.add("/new", "GET", 500 if number % 4 == 0 else 200, number / KEPT, f"new-{number}")
    figures = stats.figures()
    assert figures.requests == 2 * KEPT
    assert figures.status == {200: KEPT + KEPT * 3 // 4, 500: KEPT // 4}
    assert (figures.p50, figures.p95, figures.p99) == (500.0, 949.95, 989.99)


def test_the_slowest_stay_however_many_come_after_them() -> None:
    stats = RequestStats()
    for number in (3, 9, 1, 7, 5, 8):
        stats.add("/slow", "POST", 200, number, f"req-{number}")
    for number in range(10_000):
        stats.add("/quick", "GET", 200, 0.001, f"quick-{number}")
    slowest = stats.figures().slowest
    assert [one.request_id for one in slowest] == ["req-9", "req-8", "req-7", "req-5", "req-3"]
    assert len(slowest) == SLOWEST
    assert (slowest[0].path, slowest[0].method, slowest[0].duration_ms) == ("/slow", "POST", 9000.0)
