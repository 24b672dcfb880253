"""Where the graph goes next; every function only reads the state."""

from __future__ import annotations

from typing import Literal

from gateway.agent.state import AgentState
from gateway.core.exceptions import (
    ContextLengthExceeded,
    UnsupportedParameter,
    UpstreamError,
    UpstreamRejected,
    UpstreamTooLarge,
)

# How often a prompt that an upstream found too long is made shorter.
MAX_SHRINKS = 2


def after_intent(state: AgentState) -> Literal["route", "format"]:
    """A question that a guardrail refuses reaches no model."""
    return "format" if state["blocked"] is not None else "route"


def after_route(state: AgentState) -> Literal["llm", "format"]:
    """Without a model that fits there is nothing to call."""
    return "format" if state["failure"] is not None else "llm"


def after_llm(state: AgentState) -> Literal["llm", "tools", "retry", "guardrail", "format"]:
    """Tools to run, a model to ask again or another to try, a verdict to weigh, or done.

    Another answer never continues a sentence: once a word was shown, a failure ends the turn.
    """
    if state["failure"] is not None:
        if should_shrink(state):
            return "llm"
        return "retry" if should_fall_back(state) else "format"
    if state["blocked"] is not None:
        return "guardrail"
    return tools_or_format(state)


def should_fall_back(state: AgentState) -> bool:
    """Whether a model failed in a way, and early enough, that another call may answer in its place.

    A model that was asked for and refuses the request itself ends the turn. A fallback that refuses it gives
    way to the next one.
    """
    failure = state["failure"]
    if state["spoke"]:
        return False
    if isinstance(failure, UpstreamError | ContextLengthExceeded | UpstreamTooLarge):
        return True
    is_fallback = len(state["failures"]) > 1
    return is_fallback and isinstance(failure, UpstreamRejected | UnsupportedParameter)


def should_shrink(state: AgentState) -> bool:
    """Whether the same call is made again with less: an upstream's tokenizer counted more than ours."""
    return isinstance(state["failure"], ContextLengthExceeded) and 0 < state["shrunk"] <= MAX_SHRINKS


def after_guardrail(state: AgentState) -> Literal["llm", "format"]:
    """The same model once more, where the guardrail lifted its block for that; else the refusal."""
    return "llm" if state["blocked"] is None else "format"


def tools_or_format(state: AgentState) -> Literal["tools", "format"]:
    """Only calls of the gateway's own tools are run here; a caller's are theirs to run."""
    if state["blocked"] is None and state["tool_calls"] and not state["turn"].client_tools:
        return "tools"
    return "format"
