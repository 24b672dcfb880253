"""Generate Grafana's dashboards (`monitoring/grafana/dashboards/*.json`) from the panels defined here.

Run `python scripts/dashboards.py`. A test checks that the files are up to date and that every query uses
existing metrics.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

TARGET = Path(__file__).resolve().parent.parent / "monitoring" / "grafana" / "dashboards"
_SOURCE = {"type": "prometheus", "uid": "prometheus"}
_WINDOW = "$__rate_interval"


@dataclass(frozen=True)
class Panel:
    """A dashboard panel. `queries` are (expression, legend); `unit` and `kind` are Grafana's names."""

    title: str
    queries: tuple[tuple[str, str], ...]
    unit: str = "short"
    kind: str = "timeseries"
    width: int = 12
    stacked: bool = False
    description: str = ""


def rate(metric: str, by: str = "", where: str = "") -> str:
    """Build a rate per second, summed over replicas."""
    summed = f"sum by ({by})" if by else "sum"
    return f"{summed} (rate({metric}{{{where}}}[{_WINDOW}]))".replace("{}", "")


def quantile(q: float, metric: str, by: str = "") -> str:
    """Build a quantile of a histogram, over all replicas."""
    labels = f"le, {by}" if by else "le"
    return f"histogram_quantile({q}, sum by ({labels}) (rate({metric}_bucket[{_WINDOW}])))"


def increase(metric: str, by: str = "", where: str = "") -> str:
    """Build the increase within the displayed time range."""
    summed = f"sum by ({by})" if by else "sum"
    return f"{summed} (increase({metric}{{{where}}}[$__range]))".replace("{}", "")


def three_quantiles(metric: str) -> tuple[tuple[str, str], ...]:
    """Build the queries for p50, p95 and p99."""
    return tuple((quantile(q, metric), f"p{int(q * 100)}") for q in (0.5, 0.95, 0.99))


_FAILED = 'status=~"5.."'
_HITS = 'result=~"hit|semantic"'
_FAILED_CALLS = 'status!~"ok|cancelled"'

OVERVIEW = (
    Panel("Requests per second", ((rate("gateway_requests_total"), "all"),), "reqps", "stat", 4),
    Panel(
        "Failed requests",
        (
            (
                f"({rate('gateway_requests_total', where=_FAILED)} or vector(0))"
                f" / {rate('gateway_requests_total')}",
                "5xx",
            ),
        ),
        "percentunit",
        "stat",
        4,
    ),
    Panel("Requests in flight", (("sum(gateway_in_flight_requests)", "requests"),), kind="stat", width=4),
    Panel("Running turns", (("sum(gateway_running_turns)", "turns"),), kind="stat", width=4),
    Panel(
        "Tokens",
        ((increase("gateway_tokens_total"), "tokens"),),
        kind="stat",
        width=4,
        description="In the displayed time range.",
    ),
    Panel("Cost", ((increase("gateway_cost_usd_total"), "US dollars"),), "currencyUSD", "stat", 4),
    Panel(
        "Requests by status",
        ((rate("gateway_requests_total", "status"), "{{status}}"),),
        "reqps",
        stacked=True,
    ),
    Panel("Response time", three_quantiles("gateway_request_latency_seconds"), "s"),
    Panel("Time to first token", three_quantiles("gateway_time_to_first_token_seconds"), "s"),
    Panel(
        "Gateway overhead",
        three_quantiles("gateway_overhead_seconds"),
        "s",
        description="Without models and tools.",
    ),
    Panel(
        "Requests by route", ((f"topk(10, {rate('gateway_requests_total', 'path')})", "{{path}}"),), "reqps"
    ),
    Panel(
        "Slowest routes (p95)",
        ((f"topk(10, {quantile(0.95, 'gateway_request_latency_seconds', 'path')})", "{{path}}"),),
        "s",
    ),
)

MODELS = (
    Panel("Cost", ((increase("gateway_cost_usd_total"), "US dollars"),), "currencyUSD", "stat", 6),
    Panel(
        "Prompt tokens",
        ((increase("gateway_tokens_total", where='kind="prompt"'), "prompt"),),
        kind="stat",
        width=6,
    ),
    Panel(
        "Completion tokens",
        ((increase("gateway_tokens_total", where='kind="completion"'), "completion"),),
        kind="stat",
        width=6,
    ),
    Panel(
        "Cache hits",
        (
            (
                f"{increase('gateway_cache_total', where=_HITS)} / {increase('gateway_cache_total')}",
                "of all turns",
            ),
        ),
        "percentunit",
        "stat",
        6,
    ),
    Panel(
        "US dollars per hour, by model",
        ((f"3600 * {rate('gateway_cost_usd_total', 'model')}", "{{model}}"),),
        "currencyUSD",
        stacked=True,
    ),
    Panel(
        "Tokens per second, by model",
        ((rate("gateway_tokens_total", "model, kind"), "{{model}} {{kind}}"),),
        stacked=True,
    ),
    Panel(
        "Model calls per second",
        ((rate("gateway_upstream_requests_total", "upstream, model"), "{{upstream}} {{model}}"),),
    ),
    Panel(
        "Duration of model calls (p95)",
        ((quantile(0.95, "gateway_upstream_latency_seconds", "upstream, model"), "{{upstream}} {{model}}"),),
        "s",
    ),
    Panel(
        "Time to first token (p95)",
        (
            (
                quantile(0.95, "gateway_time_to_first_token_seconds", "upstream, model"),
                "{{upstream}} {{model}}",
            ),
        ),
        "s",
    ),
    Panel("Caches", ((rate("gateway_cache_total", "result"), "{{result}}"),), stacked=True),
    Panel("Tool calls", ((rate("gateway_tool_calls_total", "tool, outcome"), "{{tool}} {{outcome}}"),)),
    Panel(
        "Cost by model",
        ((increase("gateway_cost_usd_total", "model"), "{{model}}"),),
        "currencyUSD",
        "bargauge",
    ),
)

RELIABILITY = (
    Panel("Reachable replicas", (('sum(up{job="gateway"})', "replicas"),), kind="stat", width=6),
    Panel("PostgreSQL", (("min(gateway_database_up)", "1: reachable"),), kind="stat", width=6),
    Panel("Valkey", (("min(gateway_valkey_up)", "1: reachable"),), kind="stat", width=6),
    Panel(
        "Failed settlements",
        ((increase("gateway_settlements_failed_total"), "settlements"),),
        kind="stat",
        width=6,
    ),
    Panel(
        "Failed model calls by error",
        (
            (
                rate("gateway_upstream_requests_total", "upstream, status", _FAILED_CALLS),
                "{{upstream}} {{status}}",
            ),
        ),
        "reqps",
        stacked=True,
    ),
    Panel(
        "Circuit breaker openings",
        ((increase("gateway_circuit_open_total", "upstream"), "{{upstream}}"),),
        kind="bargauge",
    ),
    Panel(
        "Fallbacks per second",
        ((rate("gateway_fallback_used_total", "from_model, to_model"), "{{from_model}} to {{to_model}}"),),
    ),
    Panel(
        "Rejected by a limit",
        ((rate("gateway_rate_limited_total", "code"), "{{code}}"),),
        "reqps",
        stacked=True,
    ),
    Panel(
        "Guardrail verdicts",
        ((rate("gateway_guardrail_total", "guard, verdict", 'verdict!="pass"'), "{{guard}} {{verdict}}"),),
    ),
    Panel(
        "Database connections",
        (
            ("sum by (instance) (gateway_database_pool_in_use)", "{{instance}} in use"),
            ("sum by (instance) (gateway_database_pool_size)", "{{instance}} pool size"),
        ),
    ),
    Panel("Running turns", (("sum by (instance) (gateway_running_turns)", "{{instance}}"),), stacked=True),
    Panel(
        "Expired reservations",
        ((increase("gateway_reservations_expired_total"), "reservations"),),
        kind="stat",
    ),
    Panel(
        "Server errors",
        ((rate("gateway_requests_total", "path", _FAILED), "{{path}}"),),
        "reqps",
        stacked=True,
    ),
    Panel(
        "Memory",
        (("sum by (instance) (process_resident_memory_bytes)", "{{instance}}"),),
        "bytes",
        description="Only for replicas with one worker; several workers have no such metric.",
    ),
)

DASHBOARDS: dict[str, tuple[str, tuple[Panel, ...]]] = {
    "overview": ("LLM Gateway: overview", OVERVIEW),
    "models": ("LLM Gateway: models and cost", MODELS),
    "reliability": ("LLM Gateway: reliability", RELIABILITY),
}


def dashboard(name: str) -> dict[str, Any]:
    """Build the dashboard `name` in Grafana's JSON model."""
    title, panels = DASHBOARDS[name]
    return {
        "uid": f"llm-gateway-{name}",
        "title": title,
        "tags": ["llm-gateway"],
        "schemaVersion": 41,
        "editable": True,
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "timezone": "browser",
        "links": [
            {"type": "dashboards", "tags": ["llm-gateway"], "title": "LLM Gateway", "asDropdown": True}
        ],
        "panels": list(_layout(panels)),
    }


def _layout(panels: tuple[Panel, ...]) -> list[dict[str, Any]]:
    placed, x, y, row_height = [], 0, 0, 0
    for number, panel in enumerate(panels, 1):
        height = 4 if panel.kind == "stat" and panel.width < 12 else 8
        if x + panel.width > 24:
            x, y, row_height = 0, y + row_height, 0
        placed.append(_panel(panel, number, {"x": x, "y": y, "w": panel.width, "h": height}))
        x, row_height = x + panel.width, max(row_height, height)
    return placed


def _panel(panel: Panel, number: int, position: dict[str, int]) -> dict[str, Any]:
    instant = panel.kind in ("stat", "bargauge")
    custom = {"stacking": {"mode": "normal"}, "fillOpacity": 30} if panel.stacked else {"fillOpacity": 8}
    return {
        "id": number,
        "type": panel.kind,
        "title": panel.title,
        "description": panel.description,
        "datasource": _SOURCE,
        "gridPos": position,
        "fieldConfig": {
            "defaults": {"unit": panel.unit, "min": 0, **({} if instant else {"custom": custom})},
            "overrides": [],
        },
        "options": {"reduceOptions": {"calcs": ["lastNotNull"]}}
        if instant
        else {"tooltip": {"mode": "multi"}},
        "targets": [
            {"refId": chr(65 + at), "expr": expression, "legendFormat": legend, "instant": instant}
            for at, (expression, legend) in enumerate(panel.queries)
        ],
    }


def rendered(name: str) -> str:
    return json.dumps(dashboard(name), indent=2) + "\n"


def main() -> None:
    TARGET.mkdir(parents=True, exist_ok=True)
    for name in DASHBOARDS:
        (TARGET / f"{name}.json").write_text(rendered(name), encoding="utf-8")


if __name__ == "__main__":
    main()
