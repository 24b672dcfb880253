"""Build the outcome of a turn: an answer with its receipt, or a failure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from langgraph.runtime import Runtime

from gateway.agent.context import AgentContext
from gateway.agent.guards.input import record_input_verdicts
from gateway.agent.routing.failures import failure_to_report
from gateway.agent.state import AgentState, Route
from gateway.core.exceptions import GatewayError
from gateway.domain.circuit_breaker import BreakerState
from gateway.domain.events import (
    Answer,
    MessageStatus,
    Receipt,
    TextReplaced,
    TurnCompleted,
    TurnFailed,
    total_cost,
)
from gateway.domain.money import Usage

REFUSAL = "I can't answer this: {reason}"


async def format_answer(state: AgentState, runtime: Runtime[AgentContext]) -> AgentState:
    """Emit `TurnCompleted`, or `TurnFailed` with the partial answer.

    A blocked turn also completes: its answer is a refusal with the reason.
    """
    failure = _failure(state)
    block_reason = state["block_reason"]
    if runtime.context.input_check is not None:
        record_input_verdicts(runtime.context)
    if block_reason is not None:
        state = {**state, "text": REFUSAL.format(reason=block_reason)}
        runtime.context.run.emit(TextReplaced(state["text"], block_reason))
    answer = _answer(state, runtime.context, "complete" if failure is None else "failed")
    if failure is None:
        runtime.context.run.emit(TurnCompleted(answer))
    else:
        runtime.context.run.emit(TurnFailed(failure, state["turn"].request_id, answer))
    return AgentState()


def _failure(state: AgentState) -> GatewayError | None:
    """The failure of the turn; after several failed models, the one to report."""
    failure, failures = state["failure"], state["failures"]
    if failure is None or state["has_output"] or failure not in failures:
        return failure
    return failure_to_report(failures)


def _answer(state: AgentState, context: AgentContext, status: MessageStatus) -> Answer:
    turn = state["turn"]
    model_calls = tuple(context.run.model_calls)
    # A turn that never reached a model has no route.
    route = state.get("route") or Route(model="", provider="", alias=turn.model or "", reason="")
    block_reason = state["block_reason"]
    preferred = state.get("preferred_model", route.model)
    return Answer(
        request_id=turn.request_id,
        content=state["text"],
        status=status,
        model=route.model,
        provider=route.provider,
        finish_reason="content_filter" if block_reason is not None else state["finish_reason"],
        created_at=datetime.now(UTC),
        usage=sum((a.usage for a in model_calls), Usage()),
        cost_usd=total_cost(model_calls, state["tool_runs"]),
        receipt=_receipt(state, route, context),
        reasoning=state["reasoning"],
        tool_calls=state["tool_calls"],
        # Vendor fields repeat the text, and output guards do not scan them.
        vendor=None
        if "block" in (context.run.guards.leak, context.run.guards.personal_data)
        else state["vendor"],
        logprobs=state["logprobs"],
        fallback_from=preferred if route.model and preferred != route.model else None,
        refused=block_reason is None and state["refused"],
        blocked_reason=block_reason if state["blocked_stage"] == "input" else None,
    )


def _receipt(state: AgentState, route: Route, context: AgentContext) -> Receipt:
    intent = state["intent"]
    return Receipt(
        intent=intent.label,
        intent_score=round(intent.confidence, 3),
        intent_by=intent.classified_by,
        complexity=round(intent.complexity, 3),
        alias=route.alias,
        model=route.model,
        reason=route.reason,
        attempts=tuple(context.run.model_calls),
        tools=state["tool_runs"],
        guardrails=tuple(context.verdicts),
        nodes_ms={name: round(ms, 3) for name, ms in state["nodes_ms"].items()},
        breakers=_breakers(state, context),
    )


def _breakers(state: AgentState, context: AgentContext) -> Mapping[str, BreakerState]:
    """Breakers that prevented calls, and those that are open after the calls."""
    asked = ((call.model, call.provider) for call in context.run.model_calls)
    return {**state["breakers"], **context.resources.upstreams.breaker_states(asked)}
