"""Weigh the guardrails' verdicts on a turn: let the answer stand, or withhold it."""

from __future__ import annotations

from langgraph.runtime import Runtime

from gateway.agent.context import AgentContext
from gateway.agent.state import AgentState


async def guardrail(state: AgentState, runtime: Runtime[AgentContext]) -> AgentState:
    """Drop what a blocked turn's model had begun to say; none of it was shown."""
    if state["blocked"] is None:
        return AgentState()
    return AgentState(text="", reasoning="", logprobs=(), tool_calls=())
