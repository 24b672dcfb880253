"""Counting requests by route, with labels that no client can multiply."""

from __future__ import annotations

from typing import Any

from prometheus_client import Counter, Histogram

from gateway.core.metrics import registry as metrics
from gateway.core.metrics.request_stats import request_stats
from gateway.middleware.request_record import RequestRecord

UNMATCHED = "unmatched"
_METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"))
# A metric's `labels()` locks and hashes; the child it returns does not change.
_counters: dict[tuple[str, str, int], Counter] = {}
_histograms: dict[tuple[str, str], Histogram] = {}


def record_metrics(record: RequestRecord) -> None:
    """Count a finished exchange and its latency."""
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
    """The method as a label; what a client made up is OTHER."""
    return method if method in _METHODS else "OTHER"


def route_template(scope: dict[str, Any]) -> str:
    """`/api/conversations/{id}`: the path of the route that took the request, as it was written.

    FastAPI keeps an included route's full path in a context beside the route, whose own path lacks the
    prefix it was included under.
    """
    context = scope.get("fastapi", {}).get("effective_route_context")
    route = getattr(context, "starlette_route", None) or context or scope.get("route")
    path = getattr(route, "path_format", None) or getattr(route, "path", None)
    return str(path) if path else UNMATCHED
