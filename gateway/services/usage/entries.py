"""The ledger's entries of a turn: one per model call and per run of a gateway tool."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from gateway.domain.events import Answer, ModelCall
from gateway.domain.usage.turn_records import UsageEntry


def usage_entries(
    calls: Sequence[ModelCall], answer: Answer | None, tools: Collection[str]
) -> list[UsageEntry]:
    """The entries of `calls`, and of the runs of the gateway's own `tools`."""
    models = [
        UsageEntry(
            kind="chat",
            model=call.model,
            provider=call.provider,
            usage=call.usage,
            cost_usd=call.cost_usd,
            outcome=call.outcome,
            latency_ms=round(call.ms),
            upstream_reply=call.upstream_reply,
            step=None if call.step == "answer" else call.step,
        )
        for call in calls
    ]
    runs = [
        UsageEntry(
            kind="tool",
            model=tool_label(run["name"], tools),
            provider="gateway",
            outcome="ok" if run["ok"] else "tool_failed",
            latency_ms=round(run["ms"]),
        )
        for run in (answer.receipt.tools if answer is not None else ())
    ]
    return models + runs


def tool_label(name: str, tools: Collection[str]) -> str:
    """The tool's name, or `unknown`: a model may request a tool by any name."""
    return name if name in tools else "unknown"
