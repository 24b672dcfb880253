"""Every Prometheus metric of the gateway, in one registry of its own.

A label's values are names of routes, of the configuration and of the program, never what a client or a model
made up. Gauges are of one worker; their mode says how those of several become one.
"""

from __future__ import annotations

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

from gateway.core.version import VERSION

# From a cached answer to a long stream, in seconds.
_LATENCY_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 180)
# What the gateway itself takes: from half a millisecond to a retry's pause.
_OVERHEAD_BUCKETS = (0.0005, 0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5)

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
    buckets=_LATENCY_BUCKETS,
)
in_flight_requests: Final = Gauge(
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
    buckets=_LATENCY_BUCKETS,
)
time_to_first_token: Final = Histogram(
    "gateway_time_to_first_token_seconds",
    "From a streamed model call's start to the first piece of its answer, in seconds.",
    ("upstream", "model"),
    registry=registry,
    buckets=_LATENCY_BUCKETS,
)
turn_overhead: Final = Histogram(
    "gateway_overhead_seconds",
    "What a turn took beside its model calls and tools, in seconds.",
    registry=registry,
    buckets=_OVERHEAD_BUCKETS,
)
rate_limited_requests: Final = Counter(
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
circuits_opened: Final = Counter(
    "gateway_circuit_open",
    "Times a circuit of this provider opened; each opening is counted by one worker.",
    ("upstream",),
    registry=registry,
)
circuits_not_closed: Final = Gauge(
    "gateway_circuit_breakers_not_closed",
    "Models of this provider that are left alone or probed now.",
    ("upstream",),
    registry=registry,
    multiprocess_mode="livemax",
)
fallbacks: Final = Counter(
    "gateway_fallback_used",
    "Turns that another model answered than the first one chosen.",
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
    "Verdicts of guards; verdict is pass, flag or block.",
    ("guard", "verdict"),
    registry=registry,
)
tool_calls: Final = Counter(
    "gateway_tool_calls",
    "Calls of the gateway's tools; outcome is ok or a word for the failure.",
    ("tool", "outcome"),
    registry=registry,
)
cost_usd: Final = Counter("gateway_cost_usd", "US dollars spent on models.", ("model",), registry=registry)
cache_results: Final = Counter(
    "gateway_cache",
    "Turns by what the response caches had for them: hit, semantic, miss, bypass (not asked).",
    ("result",),
    registry=registry,
)
for _result in ("hit", "semantic", "miss", "bypass"):
    cache_results.labels(_result)

running_turns: Final = Gauge(
    "gateway_running_turns", "Turns under way now.", registry=registry, multiprocess_mode="livesum"
)
waiting_turns: Final = Gauge(
    "gateway_waiting_turns",
    "Turns that wait for their conversation's running one now.",
    registry=registry,
    multiprocess_mode="livesum",
)
database_pool_in_use: Final = Gauge(
    "gateway_database_pool_in_use",
    "Connections to PostgreSQL that are lent out now.",
    registry=registry,
    multiprocess_mode="livesum",
)
database_pool_size: Final = Gauge(
    "gateway_database_pool_size",
    "Connections to PostgreSQL that all pools together may keep.",
    registry=registry,
    multiprocess_mode="livesum",
)
database_pool_overflow: Final = Gauge(
    "gateway_database_pool_overflow",
    "Connections to PostgreSQL beyond the pools' size.",
    registry=registry,
    multiprocess_mode="livesum",
)
database_up: Final = Gauge(
    "gateway_database_up",
    "1 while PostgreSQL answers every worker, else 0.",
    registry=registry,
    multiprocess_mode="livemin",
)
valkey_up: Final = Gauge(
    "gateway_valkey_up",
    "1 while Valkey answers every worker, else 0.",
    registry=registry,
    multiprocess_mode="livemin",
)
build_info: Final = Gauge(
    "gateway_build_info",
    "1; `version` is that of the program which answers.",
    ("version",),
    registry=registry,
    multiprocess_mode="livemax",
)
build_info.labels(VERSION).set(1)
configuration_info: Final = Gauge(
    "gateway_configuration_info",
    "Workers in which this provider configuration is in force; `digest` is its file's SHA-256.",
    ("digest",),
    registry=registry,
    multiprocess_mode="livesum",
)
# Until a worker has asked, which it does at its start: nobody is to be woken by one that begins.
database_up.set(1)
valkey_up.set(1)
