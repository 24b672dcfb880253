"""Counts requests by route, with a bounded set of label values."""

from __future__ import annotations

from typing import Any

from prometheus_client import Counter, Histogram

from gateway.core.metrics import registry as metrics
from gateway.core.metrics.request_stats import request_stats
from gateway.middleware.request_record import RequestRecord

UNMATCHED = "unmatched"
_METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"))
# A metric's `labels()` locks and hashes; the child it returns can be reused.
_counters: dict[tuple[str, str, int], Counter] = {}
_histograms: dict[tuple[str, str], Histogram] = {}


def record_metrics(record: RequestRecord) -> None:
    """Record a finished request and its latency."""
    method = method_label(record.method)
    path = route_template(record.scope)
    key = (method, path, record.final_status)
    counter = _counters.get(key)
    if counter is None:
        counter = _counters[key] = metrics.requests.labels(method, path, str(record.final_status))
    counter.inc()
    histogram = _histograms.get(key[:2])
    if histogram is None:
        histogram = _histograms[key[:2]] = metrics.request_latency.labels(method, path)
    seconds = record.elapsed_seconds()
    histogram.observe(seconds)
    request_stats.record(path, method, key[2], seconds, record.context.request_id)


def method_label(method: str) -> str:
    """Return the method as a label; unknown methods are OTHER."""
    return method if method in _METHODS else "OTHER"


def route_template(scope: dict[str, Any]) -> str:
    """Return the path template of the matched route, such as `/api/conversations/{id}`.

    FastAPI stores an included route's full path in a context next to the route, whose own path lacks the
    prefix.
    """
    context = scope.get("fastapi", {}).get("effective_route_context")
    route = getattr(context, "starlette_route", None) or context or scope.get("route")
    path = getattr(route, "path_format", None) or getattr(route, "path", None)
    return str(path) if path else UNMATCHED
