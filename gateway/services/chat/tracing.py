"""Spans of turns, and of requests that are no chat, by OpenTelemetry's conventions for generative AI."""

from __future__ import annotations

from gateway.core.tracing import Span, span
from gateway.domain.events import TurnCompleted, TurnFailed
from gateway.domain.usage.turn_records import UsageEntry, UsageKind
from gateway.services.chat.admission import AdmittedTurn

_AGENT = "llm-gateway"
_OPERATIONS = {"embedding": "embeddings", "image": "generate_content"}


def turn_span(job: AdmittedTurn) -> Span:
    """Around a turn, from its opening to what is written of it."""
    it = span(f"invoke_agent {_AGENT}")
    if it.recording:
        principal, opened = job.principal, job.opened
        it.set_attributes(
            {
                "gen_ai.operation.name": "invoke_agent",
                "gen_ai.agent.name": _AGENT,
                "gen_ai.conversation.id": str(opened.conversation_id) if opened is not None else None,
                "gen_ai.request.model": job.turn.model,
                "user.id": str(principal.user_id),
                "gateway.api_key_id": str(principal.api_key_id) if principal.api_key_id else None,
                "gateway.message_id": str(job.answer_id) if job.answer_id else None,
                "langsmith.span.kind": "chain",
            }
        )
    return it


def end_turn_span(it: Span, ending: TurnCompleted | TurnFailed) -> None:
    """What came of it; within its block."""
    if not it.recording:
        return
    if (answer := ending.answer) is not None:
        receipt = answer.receipt
        it.set_attributes(
            {
                "gen_ai.response.model": answer.model or None,
                "gen_ai.usage.input_tokens": answer.usage.prompt_tokens,
                "gen_ai.usage.output_tokens": answer.usage.completion_tokens,
                "gateway.status": answer.status,
                "gateway.cache": answer.cache,
                "gateway.intent": receipt.intent or None,
                "gateway.complexity": receipt.complexity,
                "gateway.fallback_from": answer.fallback_from,
                "gateway.overhead_ms": receipt.overhead_ms,
                "gateway.cost_usd": float(answer.cost_usd),
            }
        )
    if isinstance(ending, TurnFailed):
        it.set_error(ending.error.code)


def call_span(kind: UsageKind, model: str, provider: str) -> Span:
    """Around one call for vectors or pictures; names are the gateway's."""
    operation = _OPERATIONS.get(kind, kind)
    it = span(f"{operation} {model}", "client")
    if it.recording:
        it.set_attributes(
            {
                "gen_ai.operation.name": operation,
                "gen_ai.request.model": model,
                "gen_ai.output.type": "image" if kind == "image" else None,
                "gateway.model": model,
                "gateway.upstream": provider,
                "langsmith.span.kind": "embedding" if kind == "embedding" else "llm",
            }
        )
    return it


def end_call_span(it: Span, entry: UsageEntry) -> None:
    """What it used; within its block."""
    if it.recording:
        it.set_attributes(
            {
                "gen_ai.usage.input_tokens": entry.usage.prompt_tokens or None,
                "gateway.cost_usd": float(entry.cost_usd),
            }
        )
