"""Make way for the next model of the chain after one failed without a word."""

from __future__ import annotations

from langgraph.runtime import Runtime

from gateway.agent.context import AgentContext
from gateway.agent.state import AgentState


async def retry(state: AgentState, runtime: Runtime[AgentContext]) -> AgentState:
    """Forget the failure; `route` then takes the next candidate."""
    return AgentState(failure=None)
