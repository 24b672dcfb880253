"""Edges of the graph: pure functions of the state."""

from __future__ import annotations

from typing import Literal

from gateway.agent.routing.fallback import should_fall_back
from gateway.agent.state import AgentState
from gateway.core.exceptions import ContextLengthExceeded

# How often a prompt that the upstream rejected as too long is shortened.
MAX_SHRINKS = 2


def after_intent(state: AgentState) -> Literal["route", "format"]:
    """End the turn if a guardrail blocked the question."""
    return "format" if state["block_reason"] is not None else "route"


def after_route(state: AgentState) -> Literal["llm", "format"]:
    """End the turn if no model was selected."""
    return "format" if state["failure"] is not None else "llm"


def after_llm(state: AgentState) -> Literal["llm", "tools", "retry", "guardrail", "format"]:
    """Choose between tools, another call, the guardrail and the end of the turn.

    Another model never continues a partial answer: after the first output, a failure ends the turn.
    """
    if state["failure"] is not None:
        if should_shrink(state):
            return "llm"
        return "retry" if should_fall_back(state) else "format"
    if state["block_reason"] is not None:
        return "guardrail"
    return tools_or_format(state)


def should_shrink(state: AgentState) -> bool:
    """Whether to repeat the call with a shorter prompt.

    The upstream's tokenizer counted more tokens than the estimate.
    """
    return isinstance(state["failure"], ContextLengthExceeded) and 0 < state["shrink_count"] <= MAX_SHRINKS


def after_guardrail(state: AgentState) -> Literal["llm", "format"]:
    """Ask the same model again if the guardrail lifted the block; otherwise refuse."""
    return "llm" if state["block_reason"] is None else "format"


def tools_or_format(state: AgentState) -> Literal["tools", "format"]:
    """Run tool calls, unless they are for the client's own tools."""
    if state["block_reason"] is None and state["tool_calls"] and not state["turn"].client_tools:
        return "tools"
    return "format"
