"""Definitions of all Prometheus metrics, in a registry of their own.

Label values are routes, configured names and program constants, never input of clients or models. Gauges are
per worker; their mode says how the values of several workers are combined.
"""

from __future__ import annotations

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

from gateway.core.version import VERSION

# Seconds, from a cached answer to a long stream.
_LATENCY_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 180)
# Seconds of the gateway's own work, from half a millisecond to a retry delay.
_OVERHEAD_BUCKETS = (0.0005, 0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5)

# A `_created` sample per counter would double the page without adding information.
disable_created_metrics()  # type: ignore[no-untyped-call]
registry: Final = CollectorRegistry()
ProcessCollector(registry=registry)
PlatformCollector(registry=registry)

requests: Final = Counter(
    "gateway_requests",
    "Completed requests by route template; status 499 means that the client disconnected.",
    ("method", "path", "status"),
    registry=registry,
)
request_latency: Final = Histogram(
    "gateway_request_latency_seconds",
    "Seconds from the first byte of a request to the last byte of its response.",
    ("method", "path"),
    registry=registry,
    buckets=_LATENCY_BUCKETS,
)
in_flight_requests: Final = Gauge(
    "gateway_in_flight_requests",
    "Requests in progress.",
    registry=registry,
    multiprocess_mode="livesum",
)
upstream_requests: Final = Counter(
    "gateway_upstream_requests",
    "Model calls; status is ok or an error code.",
    ("upstream", "model", "status"),
    registry=registry,
)
upstream_latency: Final = Histogram(
    "gateway_upstream_latency_seconds",
    "Seconds from the start of a model call to its last event.",
    ("upstream", "model"),
    registry=registry,
    buckets=_LATENCY_BUCKETS,
)
time_to_first_token: Final = Histogram(
    "gateway_time_to_first_token_seconds",
    "Seconds from the start of a streamed model call to its first token.",
    ("upstream", "model"),
    registry=registry,
    buckets=_LATENCY_BUCKETS,
)
turn_overhead: Final = Histogram(
    "gateway_overhead_seconds",
    "Seconds of a turn spent outside model calls and tools.",
    registry=registry,
    buckets=_OVERHEAD_BUCKETS,
)
rate_limited_requests: Final = Counter(
    "gateway_rate_limited", "Requests rejected by a limit.", ("code",), registry=registry
)
reservations_expired: Final = Counter(
    "gateway_reservations_expired",
    "Reservations released after their lease expired, because their process died.",
    registry=registry,
)
settlements_failed: Final = Counter(
    "gateway_settlements_failed",
    "Settlements that failed at the first attempt; they are logged and retried.",
    registry=registry,
)
circuits_opened: Final = Counter(
    "gateway_circuit_open",
    "Circuit breakers opened for this provider; each opening is counted by one worker.",
    ("upstream",),
    registry=registry,
)
circuits_not_closed: Final = Gauge(
    "gateway_circuit_breakers_not_closed",
    "Models of this provider whose circuit breaker is open or half-open.",
    ("upstream",),
    registry=registry,
    multiprocess_mode="livemax",
)
fallbacks: Final = Counter(
    "gateway_fallback_used",
    "Turns answered by a fallback model.",
    ("from_model", "to_model"),
    registry=registry,
)
tokens: Final = Counter(
    "gateway_tokens", "Tokens; kind is prompt or completion.", ("model", "kind"), registry=registry
)
token_details: Final = Counter(
    "gateway_token_details",
    "Parts of gateway_tokens; kind is cached, cache_write (of prompts) or reasoning (of completions).",
    ("model", "kind"),
    registry=registry,
)
guardrail_verdicts: Final = Counter(
    "gateway_guardrail",
    "Guardrail verdicts; verdict is pass, flag or block.",
    ("guard", "verdict"),
    registry=registry,
)
tool_calls: Final = Counter(
    "gateway_tool_calls",
    "Calls of the gateway's tools; outcome is ok or the kind of failure.",
    ("tool", "outcome"),
    registry=registry,
)
cost_usd: Final = Counter("gateway_cost_usd", "US dollars spent on models.", ("model",), registry=registry)
cache_results: Final = Counter(
    "gateway_cache",
    "Turns by response cache result: hit, semantic, miss or bypass (not looked up).",
    ("result",),
    registry=registry,
)
for _result in ("hit", "semantic", "miss", "bypass"):
    cache_results.labels(_result)

running_turns: Final = Gauge(
    "gateway_running_turns", "Turns in progress.", registry=registry, multiprocess_mode="livesum"
)
waiting_turns: Final = Gauge(
    "gateway_waiting_turns",
    "Turns waiting for another turn of their conversation to finish.",
    registry=registry,
    multiprocess_mode="livesum",
)
database_pool_in_use: Final = Gauge(
    "gateway_database_pool_in_use",
    "PostgreSQL connections in use.",
    registry=registry,
    multiprocess_mode="livesum",
)
database_pool_size: Final = Gauge(
    "gateway_database_pool_size",
    "Maximum PostgreSQL connections of all pools.",
    registry=registry,
    multiprocess_mode="livesum",
)
database_pool_overflow: Final = Gauge(
    "gateway_database_pool_overflow",
    "PostgreSQL connections beyond the pool size.",
    registry=registry,
    multiprocess_mode="livesum",
)
database_up: Final = Gauge(
    "gateway_database_up",
    "1 if PostgreSQL is reachable from every worker, else 0.",
    registry=registry,
    multiprocess_mode="livemin",
)
valkey_up: Final = Gauge(
    "gateway_valkey_up",
    "1 if Valkey is reachable from every worker, else 0.",
    registry=registry,
    multiprocess_mode="livemin",
)
build_info: Final = Gauge(
    "gateway_build_info",
    "Always 1; the label is the running version.",
    ("version",),
    registry=registry,
    multiprocess_mode="livemax",
)
build_info.labels(VERSION).set(1)
configuration_info: Final = Gauge(
    "gateway_configuration_info",
    "Workers that use this provider configuration; digest is the SHA-256 of its file.",
    ("digest",),
    registry=registry,
    multiprocess_mode="livesum",
)
# Assume both are up until the worker's first check at startup, so that starting a worker raises no alert.
database_up.set(1)
valkey_up.set(1)
