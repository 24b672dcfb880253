"""The span of a turn, by OpenTelemetry's conventions for generative AI."""

from __future__ import annotations

from gateway.core.tracing import Span, span
from gateway.domain.events import TurnCompleted, TurnFailed
from gateway.services.chat.admission import AdmittedTurn, PersistedTurn

_AGENT = "llm-gateway"


def turn_span(admitted: AdmittedTurn) -> Span:
    """Return the span of a turn, from admission to settlement."""
    turn = span(f"invoke_agent {_AGENT}")
    if turn.recording:
        principal = admitted.scope.principal
        live = admitted.live if isinstance(admitted, PersistedTurn) else None
        turn.set_attributes(
            {
                "gen_ai.operation.name": "invoke_agent",
                "gen_ai.agent.name": _AGENT,
                "gen_ai.conversation.id": str(live.conversation_id) if live is not None else None,
                "gen_ai.request.model": admitted.turn.model,
                "user.id": str(principal.user_id),
                "gateway.api_key_id": str(principal.api_key_id) if principal.api_key_id else None,
                "gateway.message_id": str(live.message_id) if live is not None else None,
                "langsmith.span.kind": "chain",
            }
        )
    return turn


def end_turn_span(turn: Span, ending: TurnCompleted | TurnFailed) -> None:
    """Add the turn's result to its span; call it inside the span's block."""
    if not turn.recording:
        return
    if (answer := ending.answer) is not None:
        receipt = answer.receipt
        turn.set_attributes(
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
        turn.set_error(ending.error.code)
