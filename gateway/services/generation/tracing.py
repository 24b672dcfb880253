"""Spans of embedding and image calls, by OpenTelemetry's conventions for generative AI."""

from __future__ import annotations

from gateway.core.tracing import Span, span
from gateway.domain.usage.turn_records import UsageEntry, UsageKind

_OPERATIONS = {"embedding": "embeddings", "image": "generate_content"}


def call_span(kind: UsageKind, model: str, provider: str) -> Span:
    """The span around one call; `model` and `provider` are the gateway's names."""
    operation = _OPERATIONS.get(kind, kind)
    call = span(f"{operation} {model}", "client")
    if call.recording:
        call.set_attributes(
            {
                "gen_ai.operation.name": operation,
                "gen_ai.request.model": model,
                "gen_ai.output.type": "image" if kind == "image" else None,
                "gateway.model": model,
                "gateway.upstream": provider,
                "langsmith.span.kind": "embedding" if kind == "embedding" else "llm",
            }
        )
    return call


def end_call_span(call: Span, entry: UsageEntry) -> None:
    """Add the call's usage; call it inside the span's block."""
    if call.recording:
        call.set_attributes(
            {
                "gen_ai.usage.input_tokens": entry.usage.prompt_tokens or None,
                "gateway.cost_usd": float(entry.cost_usd),
            }
        )
