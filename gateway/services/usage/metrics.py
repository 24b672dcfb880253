"""Counts turns and calls in the metrics."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from decimal import Decimal

from gateway.core.metrics import registry as metrics
from gateway.domain.events import Answer, ModelCall
from gateway.domain.money import Usage
from gateway.domain.usage.reports import CACHED_OUTCOME
from gateway.services.usage.entries import tool_label


def record_turn_metrics(
    calls: Sequence[ModelCall], answer: Answer | None, tools: Collection[str] = ()
) -> None:
    """Record a turn's model calls, runs of `tools` and guardrail verdicts.

    Cached answers made no call.
    """
    for call in calls:
        if call.outcome != CACHED_OUTCOME:
            _record_call(call)
    if answer is None:
        return
    if answer.fallback_from is not None:
        metrics.fallbacks.labels(answer.fallback_from, answer.model).inc()
    metrics.turn_overhead.observe(answer.receipt.overhead_ms / 1000)
    for run in answer.receipt.tools:
        outcome = "ok" if run["ok"] else run.get("error", "failed")
        metrics.tool_calls.labels(tool_label(run["name"], tools), outcome).inc()
    for verdict in answer.receipt.guardrails:
        metrics.guardrail_verdicts.labels(verdict["guard"], verdict["verdict"]).inc()


def record_usage_metrics(model: str, usage: Usage, cost_usd: Decimal) -> None:
    """Record the tokens and the cost of one call."""
    metrics.tokens.labels(model, "prompt").inc(usage.prompt_tokens)
    metrics.tokens.labels(model, "completion").inc(usage.completion_tokens)
    metrics.cost_usd.labels(model).inc(float(cost_usd))
    details = (
        ("cached", usage.cached_tokens),
        ("cache_write", usage.cache_write_tokens),
        ("reasoning", usage.reasoning_tokens),
    )
    for kind, tokens in details:
        if tokens:
            metrics.token_details.labels(model, kind).inc(tokens)


def _record_call(call: ModelCall) -> None:
    upstream, model = call.provider, call.model
    metrics.upstream_requests.labels(upstream, model, call.outcome).inc()
    metrics.upstream_latency.labels(upstream, model).observe(call.ms / 1000)
    if call.first_ms is not None:
        metrics.time_to_first_token.labels(upstream, model).observe(call.first_ms / 1000)
    if call.usage.total_tokens:
        record_usage_metrics(model, call.usage, call.cost_usd)
