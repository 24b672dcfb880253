"""Every Prometheus metric of the gateway, in one registry of its own."""

from __future__ import annotations

import os
from typing import Any, Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

CONTENT_TYPE: Final = CONTENT_TYPE_PLAIN_0_0_4
# From a cached answer to a long stream, in seconds.
_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 180)

# A `_created` sample beside each counter would double the page and tell nothing here.
disable_created_metrics()  # type: ignore[no-untyped-call]
registry: Final = CollectorRegistry()
ProcessCollector(registry=registry)
PlatformCollector(registry=registry)

requests: Final = Counter(
    "gateway_requests",
    "Answered requests; path is the route's template, status 499 a client that went away.",
    ("method", "path", "status"),
    registry=registry,
)
request_latency: Final = Histogram(
    "gateway_request_latency_seconds",
    "From a request's first byte to its answer's last, in seconds.",
    ("method", "path"),
    registry=registry,
    buckets=_BUCKETS,
)
in_flight: Final = Gauge(
    "gateway_in_flight_requests",
    "Requests being answered now.",
    registry=registry,
    multiprocess_mode="livesum",
)
upstream_requests: Final = Counter(
    "gateway_upstream_requests",
    "Calls of models; status is ok or the code of the error.",
    ("upstream", "model", "status"),
    registry=registry,
)
upstream_latency: Final = Histogram(
    "gateway_upstream_latency_seconds",
    "From a model call's start to its last event, in seconds.",
    ("upstream", "model"),
    registry=registry,
    buckets=_BUCKETS,
)
rate_limited: Final = Counter(
    "gateway_rate_limited", "Requests refused by a limit.", ("code",), registry=registry
)
reservations_expired: Final = Counter(
    "gateway_reservations_expired",
    "Reservations given back because their process died.",
    registry=registry,
)
settlements_failed: Final = Counter(
    "gateway_settlements_failed",
    "Settlements that the database did not take at once; they are in the log and tried again.",
    registry=registry,
)
circuit_open: Final = Counter(
    "gateway_circuit_open", "Times a provider's circuit opened.", ("upstream",), registry=registry
)
fallback_used: Final = Counter(
    "gateway_fallback_used",
    "Turns that another model answered than the first one chosen.",
    ("from_model", "to_model"),
    registry=registry,
)
tokens: Final = Counter(
    "gateway_tokens", "Tokens; kind is prompt or completion.", ("model", "kind"), registry=registry
)
guardrail: Final = Counter(
    "gateway_guardrail",
    "Verdicts of guards; verdict is pass, flag or block.",
    ("guard", "verdict"),
    registry=registry,
)
cost_usd: Final = Counter("gateway_cost_usd", "US dollars spent on models.", ("model",), registry=registry)


cache: Final = Counter(
    "gateway_cache",
    "Turns by what the response caches had for them: hit, semantic, miss, bypass (not asked).",
    ("result",),
    registry=registry,
)


def render() -> bytes:
    """All metrics in Prometheus' text format; of all workers where `PROMETHEUS_MULTIPROC_DIR` is set."""
    if not os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
        return generate_latest(registry)
    together = CollectorRegistry()
    MultiProcessCollector(together)  # type: ignore[no-untyped-call]
    return generate_latest(together)


def in_flight_now() -> int:
    """Requests that this process is answering."""
    return int(sum(sample.value for metric in in_flight.collect() for sample in metric.samples))


def model_counters() -> dict[str, dict[str, Any]]:
    """By model: `requests`, `errors`, `prompt_tokens`, `completion_tokens` and `cost_usd` of this process."""
    found: dict[str, dict[str, Any]] = {}

    def of(model: str) -> dict[str, Any]:
        empty = {
            "requests": 0,
            "errors": 0,
            "prompt_tokens": 0,
            "completion_tokens": 0,
            "cost_usd": "0.000000",
        }
        return found.setdefault(model, empty)

    for labels, value in _samples(upstream_requests):
        counters = of(labels["model"])
        counters["requests"] += int(value)
        if labels["status"] not in ("ok", "cancelled"):
            counters["errors"] += int(value)
    for labels, value in _samples(tokens):
        of(labels["model"])[f"{labels['kind']}_tokens"] += int(value)
    for labels, value in _samples(cost_usd):
        of(labels["model"])["cost_usd"] = f"{value:.6f}"
    return found


def _samples(counter: Counter) -> list[tuple[dict[str, str], float]]:
    return [(sample.labels, sample.value) for metric in counter.collect() for sample in metric.samples]
