"""Understand the question: its intent, how hard it is, and whether it may be asked at all."""

from __future__ import annotations

from time import perf_counter

from langgraph.runtime import Runtime

from gateway.agent.context import AgentContext
from gateway.agent.guarding.checks import brings_results, note, screened, start_input_check
from gateway.agent.intent.ask import ask_light, to_be_asked
from gateway.agent.state import AgentState
from gateway.domain.intent import Intent
from gateway.guardrails.base import Verdict

# Below this the classifier's opinion that a question is unsafe is not worth a refusal.
_UNSAFE_CONFIDENCE = 0.8


def last_question(state: AgentState) -> str:
    """The text of the newest user message, empty where there is none."""
    return next((m.text for m in reversed(state["messages"]) if m.role == "user"), "")


async def intent(state: AgentState, runtime: Runtime[AgentContext]) -> AgentState:
    """Classify, by default on this machine alone, and start the guards beside the model call."""
    context = runtime.context
    question = last_question(state)
    start_input_check(context, question)
    started = perf_counter()
    found = context.parts.classifier.classify(question)
    if to_be_asked(context.parts.catalog.intent, state["turn"], found, question):
        found = await ask_light(context, question, found)
    update = AgentState(intent=found)
    if (
        found.label == "unsafe"
        and context.guard.unsafe != "off"
        and "unsafe" not in context.parts.guards.names
    ):
        verdict = _unsafe_verdict(found, (perf_counter() - started) * 1000)
        if note(context, verdict, "input", context.guard.unsafe):
            update["blocked"] = verdict.reason
    if brings_results(context.guard, state["messages"]):
        update["messages"] = await screened(context, state["messages"])
    return update


def _unsafe_verdict(found: Intent, ms: float) -> Verdict:
    flagged = found.confidence >= _UNSAFE_CONFIDENCE
    reason = "The question asks for something that could do harm."
    return Verdict("unsafe", flagged, found.confidence, reason, ms)
