"""Put the turn's outcome together: one answer with its receipt, or a named failure with what was said."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from langgraph.runtime import Runtime

from gateway.agent.context import AgentContext
from gateway.agent.guarding.checks import note_input
from gateway.agent.recovery.outcome import reported
from gateway.agent.state import AgentState, Route
from gateway.core.exceptions import GatewayError
from gateway.domain.breaker import BreakerState
from gateway.domain.events import (
    Answer,
    MessageStatus,
    Receipt,
    TextReplaced,
    TurnCompleted,
    TurnFailed,
    cost_of,
)
from gateway.domain.usage import Usage

REFUSAL = "I can't answer this: {reason}"


async def format_answer(state: AgentState, runtime: Runtime[AgentContext]) -> AgentState:
    """Write the last event of the graph: `TurnCompleted`, or `TurnFailed` with the partial answer.

    A blocked turn is an answer too: one that says why there is no other.
    """
    failure = _failure(state)
    blocked = state["blocked"]
    if runtime.context.input_check is not None:
        note_input(runtime.context)
    if blocked is not None:
        state = {**state, "text": REFUSAL.format(reason=blocked)}
        runtime.context.emit(TextReplaced(state["text"], blocked))
    answer = _answer(state, runtime.context, "complete" if failure is None else "failed")
    if failure is None:
        runtime.context.emit(TurnCompleted(answer))
    else:
        runtime.context.emit(TurnFailed(failure, state["turn"].request_id, answer))
    return AgentState()


def _failure(state: AgentState) -> GatewayError | None:
    """Why the turn failed: after a chain of models that failed before a word, what `reported` says."""
    failure, failures = state["failure"], state["failures"]
    if failure is None or state["spoke"] or failure not in failures:
        return failure
    return reported(failures)


def _answer(state: AgentState, context: AgentContext, status: MessageStatus) -> Answer:
    turn = state["turn"]
    attempts = tuple(context.attempts)
    # A turn that never reached a model has no route.
    route = state.get("route") or Route(model="", provider="", alias=turn.model or "", reason="")
    blocked = state["blocked"]
    first = state.get("first_choice", route.model)
    return Answer(
        request_id=turn.request_id,
        content=state["text"],
        status=status,
        model=route.model,
        provider=route.provider,
        finish_reason="content_filter" if blocked is not None else state["finish_reason"],
        created_at=datetime.now(UTC),
        usage=sum((a.usage for a in attempts), Usage()),
        cost_usd=cost_of(attempts, state["tool_log"]),
        receipt=_receipt(state, route, context),
        reasoning=state["reasoning"],
        tool_calls=state["tool_calls"],
        # The fields repeat what was said, and a guard that withholds parts of an answer has not read them.
        vendor=None if "block" in (context.guard.leak, context.guard.personal_data) else state["vendor"],
        logprobs=state["logprobs"],
        fallback_from=first if route.model and first != route.model else None,
        refused=blocked is None and state["refused"],
        blocked_reason=blocked if state["blocked_at"] == "input" else None,
    )


def _receipt(state: AgentState, route: Route, context: AgentContext) -> Receipt:
    found = state["intent"]
    return Receipt(
        intent=found.label,
        intent_score=round(found.confidence, 3),
        intent_by=found.judged_by,
        complexity=round(found.complexity, 3),
        alias=route.alias,
        model=route.model,
        reason=route.reason,
        attempts=tuple(context.attempts),
        tools=state["tool_log"],
        guardrails=tuple(context.verdicts),
        nodes_ms={name: round(ms, 3) for name, ms in state["nodes_ms"].items()},
        breakers=_breakers(state, context),
    )


def _breakers(state: AgentState, context: AgentContext) -> Mapping[str, BreakerState]:
    """Those that kept upstreams from being asked, and those that the calls left open."""
    asked = ((attempt.model, attempt.provider) for attempt in context.attempts)
    return {**state["breakers"], **context.parts.upstreams.states(asked)}
