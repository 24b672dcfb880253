"""Counting requests by route, with labels that no client can multiply."""

from __future__ import annotations

from typing import Any

from prometheus_client import Counter, Histogram

from gateway.core import metrics
from gateway.core.request_stats import request_stats
from gateway.middleware.exchange import Exchange

UNMATCHED = "unmatched"
_METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"))
# A metric's `labels()` locks and hashes; the child it returns does not change.
_counters: dict[tuple[str, str, int], Counter] = {}
_histograms: dict[tuple[str, str], Histogram] = {}


def observe(exchange: Exchange) -> None:
    """Count a finished exchange and its latency."""
    method = known_method(exchange.method)
    path = route_template(exchange.scope)
    key = (method, path, exchange.outcome)
    counter = _counters.get(key)
    if counter is None:
        counter = _counters[key] = metrics.requests.labels(method, path, str(exchange.outcome))
    counter.inc()
    histogram = _histograms.get(key[:2])
    if histogram is None:
        histogram = _histograms[key[:2]] = metrics.request_latency.labels(method, path)
    seconds = exchange.seconds()
    histogram.observe(seconds)
    request_stats.add(path, method, key[2], seconds, exchange.context.request_id)


def known_method(method: str) -> str:
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
