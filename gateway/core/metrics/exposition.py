"""Prometheus exposition and the totals of `/api/metrics`, over all workers.

Reading the files of several workers takes tens of milliseconds: call from a thread.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from prometheus_client import CollectorRegistry, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

from gateway.core.metrics.registry import registry

CONTENT_TYPE: Final = CONTENT_TYPE_PLAIN_0_0_4
_GAUGE_FILE = re.compile(r"gauge_live[a-z]*_(\d+)\.db")
_ZERO_TOTALS = {
    "requests": 0,
    "errors": 0,
    "prompt_tokens": 0,
    "completion_tokens": 0,
    "cost_usd": "0.000000",
}


@dataclass(frozen=True, slots=True)
class MetricTotals:
    """Requests by status, requests and turns in progress, and totals by model.

    The values of `models` are `requests`, `errors`, `prompt_tokens`, `completion_tokens` and `cost_usd`.
    """

    status: dict[int, int]
    in_flight: int
    running_turns: int
    models: dict[str, dict[str, Any]]


def multiprocess_directory() -> Path | None:
    """Return the folder in which workers share their metrics.

    None for a single process.
    """
    named = os.environ.get("PROMETHEUS_MULTIPROC_DIR")
    return Path(named) if named else None


def render() -> bytes:
    """Render all metrics in Prometheus' text format."""
    return generate_latest(_collect_registry())


def totals() -> MetricTotals:
    """Sum up the values that `render` exposes."""
    families = {family.name: family for family in _collect_registry().collect()}
    status: dict[int, int] = {}
    for labels, value in _samples(families, "gateway_requests"):
        code = int(labels["status"])
        status[code] = status.get(code, 0) + int(value)
    in_flight = sum(value for _, value in _samples(families, "gateway_in_flight_requests"))
    turns = sum(value for _, value in _samples(families, "gateway_running_turns"))
    return MetricTotals(dict(sorted(status.items())), int(in_flight), int(turns), _totals_by_model(families))


def _totals_by_model(families: dict[str, Metric]) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for labels, value in _samples(families, "gateway_upstream_requests"):
        counters = found.setdefault(labels["model"], dict(_ZERO_TOTALS))
        counters["requests"] += int(value)
        if labels["status"] not in ("ok", "cancelled"):
            counters["errors"] += int(value)
    for labels, value in _samples(families, "gateway_tokens"):
        found.setdefault(labels["model"], dict(_ZERO_TOTALS))[f"{labels['kind']}_tokens"] += int(value)
    for labels, value in _samples(families, "gateway_cost_usd"):
        found.setdefault(labels["model"], dict(_ZERO_TOTALS))["cost_usd"] = f"{value:.6f}"
    return found


def _samples(families: dict[str, Metric], name: str) -> Iterator[tuple[dict[str, str], float]]:
    family = families.get(name)
    for sample in family.samples if family is not None else ():
        yield sample.labels, sample.value


def _collect_registry() -> CollectorRegistry:
    directory = multiprocess_directory()
    if directory is None:
        return registry
    _remove_dead_workers(directory.iterdir())
    together = CollectorRegistry()
    MultiProcessCollector(together)  # type: ignore[no-untyped-call]
    return together


def _remove_dead_workers(files: Iterable[Path]) -> None:
    """Remove the gauges of killed workers; their counters stay."""
    pids = {int(match[1]) for file in files if (match := _GAUGE_FILE.fullmatch(file.name))}
    for pid in pids:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            with suppress(FileNotFoundError):  # another worker removed it first
                mark_process_dead(pid)  # type: ignore[no-untyped-call]
        except PermissionError:
            continue
