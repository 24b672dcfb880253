"""The report of the benchmark: ratios, goals, and rows with failures."""

from __future__ import annotations

import dataclasses

from bench.machine import Cores
from bench.measure import Cell, Results, Sample
from bench.plan import Plan
from bench.report import ratio, render, table

_SAMPLE = Sample(
    requests=100,
    failures=0,
    first_failure="",
    rate=100.0,
    latency=0.01,
    first_token=0.002,
    cpu=1.0,
    chunks=10_000,
    upstream_requests=100,
    reads=100,
    events=10_300,
    resident=300 * 2**20,
    helpers_busy=0.2,
    worst_gap=0.1,
    worst_first_token=0.1,
)


def _results(*samples: tuple[str, str, dict[str, float | int | str]]) -> Results:
    results = Results()
    for target, shape, changes in samples:
        results.add(Cell(target, shape, 16), dataclasses.replace(_SAMPLE, **changes))
    return results


def test_a_ratio_uses_the_medians() -> None:
    results = _results(
        ("litellm", "json", {"rate": 90.0}),
        ("litellm", "json", {"rate": 100.0}),
        ("litellm", "json", {"rate": 500.0}),
        ("gateway", "json", {"rate": 350.0}),
    )
    assert ratio(results, "gateway", "json", 16) == 3.5


def test_the_persisted_turn_is_compared_with_json() -> None:
    results = _results(("litellm", "json", {"rate": 50.0}), ("gateway", "turn", {"rate": 125.0}))
    assert ratio(results, "gateway", "turn", 16) == 2.5


def test_a_row_with_failures_has_no_ratio_and_is_listed() -> None:
    failure = {"failures": 1, "first_failure": "status 500"}
    results = _results(("litellm", "json", {}), ("gateway", "json", failure))
    assert ratio(results, "gateway", "json", 16) is None
    plan = Plan(4.0, 1, 200, True, True, None)
    page = render(results, plan, Cores(frozenset({1}), frozenset({0})), {"Processor": "a"}, "make bench")
    assert "| failed |" in page
    assert "gateway, json ×16: 1 failed, first: `status 500`" in page


def test_figures_in_a_table_are_right_aligned() -> None:
    assert table(["", "a"], [["x", "1"]]) == "|  | a |\n| --- | ---: |\n| x | 1 |"
