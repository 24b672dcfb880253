"""Statistics of recent requests are bounded and correct."""

from __future__ import annotations

import os
from pathlib import Path

from gateway.core.metrics.request_stats import CAPACITY, SLOWEST_COUNT, RequestStats


def test_percentiles_are_none_before_the_first_request() -> None:
    figures = RequestStats().summary()
    assert (figures.p50, figures.p99, figures.slowest) == (None, None, ())


def test_percentiles_cover_the_last_requests() -> None:
    stats = RequestStats()
    for number in range(CAPACITY):
        stats.record("/old", "GET", 200, 100.0, f"old-{number}")
    for number in range(CAPACITY):
        stats.record("/new", "GET", 500 if number % 4 == 0 else 200, number / CAPACITY, f"new-{number}")
    figures = stats.summary()
    assert (figures.p50, figures.p95, figures.p99) == (500.0, 949.95, 989.99)


def test_slowest_requests_are_kept() -> None:
    stats = RequestStats()
    for number in (3, 9, 1, 7, 5, 8):
        stats.record("/slow", "POST", 200, number, f"req-{number}")
    for number in range(10_000):
        stats.record("/quick", "GET", 200, 0.001, f"quick-{number}")
    slowest = stats.summary().slowest
    assert [one.request_id for one in slowest] == ["req-9", "req-8", "req-7", "req-5", "req-3"]
    assert len(slowest) == SLOWEST_COUNT
    assert (slowest[0].path, slowest[0].method, slowest[0].duration_ms) == ("/slow", "POST", 9000.0)


def test_workers_of_one_folder_are_summarized_together(tmp_path: Path) -> None:
    other = RequestStats(tmp_path)
    for number in range(100):
        other.record("/other", "GET", 200, 1.0 + number / 100, f"other-{number}")
    (tmp_path / f"requests_{os.getpid()}").rename(tmp_path / "requests_1")  # as of another process
    mine = RequestStats(tmp_path)
    for number in range(100):
        mine.record("/mine", "GET", 200, 0.001, f"mine-{number}")
    mine.record("/mine", "GET", 200, 7.0, "mine-slow")
    (tmp_path / "requests_2").write_bytes(b"just being made")
    figures = mine.summary()
    assert (figures.p50, figures.p95) == (1000.0, 1900.0)
    assert [one.request_id for one in figures.slowest] == [
        "mine-slow", *(f"other-{number}" for number in (99, 98, 97, 96))
    ]  # fmt: skip
    assert figures.uptime_seconds >= 0


def test_partially_written_slowest_list_is_ignored(tmp_path: Path) -> None:
    stats = RequestStats(tmp_path)
    stats.record("/path", "GET", 200, 1.0, "request")
    file = tmp_path / f"requests_{os.getpid()}"
    content = file.read_bytes()
    file.write_bytes(content.replace(b'"duration_ms":', b'"duration_ms"!'))
    figures = stats.summary()
    assert (figures.p50, figures.slowest) == (1000.0, ())
