"""Whether a failed model call falls back to another call. A pure function of the state."""

from __future__ import annotations

from gateway.agent.state import AgentState
from gateway.core.exceptions import (
    ContextLengthExceeded,
    UnsupportedParameter,
    UpstreamError,
    UpstreamRejected,
    UpstreamTooLarge,
)


def should_fall_back(state: AgentState) -> bool:
    """Whether the failure allows another call, possibly of another model.

    If a preferred model rejects the request, the turn ends. If a fallback rejects it, the next candidate is
    called.
    """
    failure = state["failure"]
    if state["has_output"]:
        return False
    if isinstance(failure, UpstreamError | ContextLengthExceeded | UpstreamTooLarge):
        return True
    is_fallback = len(state["failures"]) > 1
    return is_fallback and isinstance(failure, UpstreamRejected | UnsupportedParameter)
