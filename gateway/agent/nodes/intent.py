"""Understand the question: its intent, how hard it is, and whether it may be asked at all."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from time import perf_counter
from typing import Any

from langgraph.runtime import Runtime

from gateway.agent.context import AgentContext
from gateway.agent.state import AgentState
from gateway.domain.intent import Intent
from gateway.guardrails.base import Verdict

# Below this the classifier's opinion that a question is unsafe is not worth a refusal.
_UNSAFE_CONFIDENCE = 0.8


def last_question(state: AgentState) -> str:
    """The text of the newest user message, empty where there is none."""
    return next((m.text for m in reversed(state["messages"]) if m.role == "user"), "")


async def intent(state: AgentState, runtime: Runtime[AgentContext]) -> AgentState:
    """Classify locally, and start the injection check so that it runs beside the model call."""
    context = runtime.context
    question = last_question(state)
    if context.guard.injection != "off" and question:
        context.input_check = asyncio.create_task(context.parts.guards.check_input(question))
    started = perf_counter()
    found = context.parts.classifier.classify(question)
    update = AgentState(intent=found)
    if context.guard.unsafe != "off" and found.label == "unsafe":
        verdict = _unsafe_verdict(found, (perf_counter() - started) * 1000)
        update["verdicts"] = (verdict,)
        if context.guard.unsafe == "block" and verdict["flagged"]:
            update["blocked"] = verdict["reason"]
    return update


def _unsafe_verdict(found: Intent, ms: float) -> dict[str, Any]:
    return asdict(
        Verdict(
            guard="unsafe",
            flagged=found.confidence >= _UNSAFE_CONFIDENCE,
            score=round(found.confidence, 3),
            reason="The question asks for something that could do harm.",
            ms=round(ms, 3),
        )
    )
