"""The six agents as a LangGraph: each agent is a node, in a fixed order."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from operator import or_
from typing import Annotated, Any

from langgraph.graph import END, START, StateGraph

from examples.product_detail.agents import RoleAgent

Work = dict[str, Any]


class AgentFailed(Exception):
    """An agent failed; `agent` is its name, `__cause__` the reason."""

    def __init__(self, agent: str, cause: Exception) -> None:
        super().__init__(f"{agent}: {cause}")
        self.agent = agent


async def run_flow(agents: Sequence[RoleAgent], start: Work) -> AsyncIterator[tuple[str, Work]]:
    """Yield each agent's name and result when it finishes.

    Raises:
        AgentFailed: An agent failed; the results of earlier agents have been yielded.
    """
    state: Any = Annotated[Work, or_]
    graph: StateGraph[Any, Any, Any, Any] = StateGraph(state)
    previous = START
    for agent in agents:
        graph.add_node(agent.name, _node(agent))
        graph.add_edge(previous, agent.name)
        previous = agent.name
    graph.add_edge(previous, END)
    async for step in graph.compile().astream(start, stream_mode="updates"):
        for name, added in step.items():
            yield name, added


def _node(agent: RoleAgent) -> Any:
    async def run(work: Work) -> Work:
        try:
            return await agent.run(work)
        except Exception as error:
            raise AgentFailed(agent.name, error) from error

    return run
