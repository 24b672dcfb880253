"""Classify the question and start the input guards."""

from __future__ import annotations

from time import perf_counter

from langgraph.runtime import Runtime

from gateway.agent.context import AgentContext
from gateway.agent.guards.input import start_input_check
from gateway.agent.guards.tool_results import guard_client_results, has_client_results_to_check
from gateway.agent.guards.verdicts import record_verdict
from gateway.agent.intent.llm_classifier import classify_with_llm, needs_llm
from gateway.agent.state import AgentState
from gateway.domain.intent import Intent
from gateway.guardrails.base import Verdict

# Below this confidence the classifier's `unsafe` label does not block.
_UNSAFE_CONFIDENCE = 0.8


def last_question(state: AgentState) -> str:
    """The text of the last user message; empty if there is none."""
    return next((m.text for m in reversed(state["messages"]) if m.role == "user"), "")


async def intent(state: AgentState, runtime: Runtime[AgentContext]) -> AgentState:
    """Classify the question while the input guards run beside the model call."""
    context = runtime.context
    question = last_question(state)
    start_input_check(context, question)
    started = perf_counter()
    classified = context.resources.classifier.classify(question)
    if needs_llm(context.resources.catalog.intent, state["turn"], classified, question):
        classified = await classify_with_llm(context, question, classified)
    update = AgentState(intent=classified)
    if (
        classified.label == "unsafe"
        and context.run.guards.unsafe != "off"
        and "unsafe" not in context.resources.guardrails.names
    ):
        verdict = _unsafe_verdict(classified, (perf_counter() - started) * 1000)
        if record_verdict(context, verdict, "input", context.run.guards.unsafe):
            update["block_reason"] = verdict.reason
    if has_client_results_to_check(context.run.guards, state["messages"]):
        update["messages"] = await guard_client_results(context, state["messages"])
    return update


def _unsafe_verdict(classified: Intent, ms: float) -> Verdict:
    flagged = classified.confidence >= _UNSAFE_CONFIDENCE
    reason = "The question asks for something that could cause harm."
    return Verdict("unsafe", flagged, classified.confidence, reason, ms)
