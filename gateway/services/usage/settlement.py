"""From what a turn did to what the ledger writes down of it, and to what the metrics count."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from decimal import Decimal

from gateway.core.exceptions import GatewayError
from gateway.core.metrics import registry as metrics
from gateway.domain.conversations.answer_details import details_to_storage
from gateway.domain.conversations.models import REQUEST_ID
from gateway.domain.conversations.stored_messages import calls_to_storage
from gateway.domain.events import Answer, ModelCall
from gateway.domain.money import Usage
from gateway.domain.usage.reports import CACHED_OUTCOME
from gateway.domain.usage.turn_records import FinishedTurn, UsageEntry, UsageOwner
from gateway.services.execution.live_turn import LiveTurn


def usage_entries(
    calls: Sequence[ModelCall], answer: Answer | None, tools: Collection[str]
) -> list[UsageEntry]:
    """One for each model call, and one for each run of the gateway's own `tools`."""
    models = [
        UsageEntry(
            kind="chat",
            model=attempt.model,
            provider=attempt.provider,
            usage=attempt.usage,
            cost_usd=attempt.cost_usd,
            outcome=attempt.outcome,
            latency_ms=round(attempt.ms),
            upstream_reply=attempt.upstream_reply,
            step=None if attempt.step == "answer" else attempt.step,
        )
        for attempt in calls
    ]
    runs = [
        UsageEntry(
            kind="tool",
            model=_tool_label(run["name"], tools),
            provider="gateway",
            outcome="ok" if run["ok"] else "tool_failed",
            latency_ms=round(run["ms"]),
        )
        for run in (answer.receipt.tools if answer is not None else ())
    ]
    return models + runs


def finished_turn(
    owner: UsageOwner,
    live: LiveTurn,
    answer: Answer,
    error: GatewayError | None,
    entries: Sequence[UsageEntry],
) -> FinishedTurn:
    """What is written of a persisted turn's answer."""
    return FinishedTurn(
        owner=owner,
        conversation_id=live.conversation_id,
        message_id=live.message_id,
        content=answer.content,
        status=answer.status,
        lock_token=live.lock_token,
        events=live.broadcast.count,
        model=answer.model or None,
        provider=answer.provider or None,
        finish_reason=answer.finish_reason,
        usage=answer.usage,
        cost_usd=answer.cost_usd,
        receipt=answer.receipt.as_json() | {REQUEST_ID: owner.request_id},
        tool_calls=calls_to_storage(answer.tool_calls, answer.vendor) or None,
        error={"code": error.code, "message": error.message} if error is not None else None,
        calls=entries,
        details=details_to_storage(answer.reasoning, live.accumulator.tool_runs),
    )


def record_metrics(calls: Sequence[ModelCall], answer: Answer | None, tools: Collection[str] = ()) -> None:
    """Tell the metrics of a turn: calls of models (a cached answer made none), runs of `tools`, verdicts."""
    for attempt in calls:
        if attempt.outcome == CACHED_OUTCOME:
            continue
        upstream, model = attempt.provider, attempt.model
        metrics.upstream_requests.labels(upstream, model, attempt.outcome).inc()
        metrics.upstream_latency.labels(upstream, model).observe(attempt.ms / 1000)
        if attempt.first_ms is not None:
            metrics.time_to_first_token.labels(upstream, model).observe(attempt.first_ms / 1000)
        if attempt.usage.total_tokens:
            record_usage_metrics(model, attempt.usage, attempt.cost_usd)
    if answer is None:
        return
    if answer.fallback_from is not None:
        metrics.fallbacks.labels(answer.fallback_from, answer.model).inc()
    metrics.turn_overhead.observe(answer.receipt.overhead_ms / 1000)
    for run in answer.receipt.tools:
        outcome = "ok" if run["ok"] else run.get("error", "failed")
        metrics.tool_calls.labels(_tool_label(run["name"], tools), outcome).inc()
    for verdict in answer.receipt.guardrails:
        metrics.guardrail_verdicts.labels(verdict["guard"], verdict["verdict"]).inc()


def record_usage_metrics(model: str, usage: Usage, cost_usd: Decimal) -> None:
    """Add the tokens and the cost of one call to the metrics."""
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


def _tool_label(tool: str, tools: Collection[str]) -> str:
    """A model may ask for a tool by any name."""
    return tool if tool in tools else "unknown"
