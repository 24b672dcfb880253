"""The wiring of the graph, and nothing else.

START → intent ─ blocked ──────────────────────────→ format → END
          └→ route → llm ─ tool calls → tools ─┐
                 ↑     ↑──────────────────────┘
                 │     ├ failed before its first word → retry ─┐
                 └─────┴──────────────────────────────────────┘
                       └ answered → guardrail → format → END

An answer that no guardrail has an opinion on goes to `format` directly: a super-step costs 0.25 ms.
"""

from __future__ import annotations

from collections.abc import Awaitable
from time import perf_counter
from typing import Any, Protocol

from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.runtime import Runtime

from gateway.agent import edges
from gateway.agent.context import AgentContext
from gateway.agent.nodes.format import format_answer
from gateway.agent.nodes.guardrail import guardrail
from gateway.agent.nodes.intent import intent
from gateway.agent.nodes.llm import llm
from gateway.agent.nodes.retry import retry
from gateway.agent.nodes.route import route
from gateway.agent.nodes.tools import tools
from gateway.agent.state import AgentState


class Node(Protocol):
    """A coroutine function over state and runtime; LangGraph passes both by these names."""

    def __call__(self, state: AgentState, runtime: Runtime[AgentContext]) -> Awaitable[AgentState]:
        """A partial update of the state."""


def _timed(name: str, node: Node) -> Node:
    async def run(state: AgentState, runtime: Runtime[AgentContext]) -> AgentState:
        started = perf_counter()
        update = await node(state, runtime)
        update["nodes_ms"] = {name: (perf_counter() - started) * 1000}
        return update

    return run


def build_graph() -> CompiledStateGraph[AgentState, AgentContext, Any, Any]:
    """Compile the graph once per process; it holds no state of a turn."""
    graph = StateGraph(AgentState, context_schema=AgentContext)
    graph.add_node("intent", _timed("intent", intent))
    graph.add_node("route", _timed("route", route))
    graph.add_node("llm", _timed("llm", llm))
    graph.add_node("tools", _timed("tools", tools))
    graph.add_node("guardrail", _timed("guardrail", guardrail))
    graph.add_node("retry", _timed("retry", retry))
    graph.add_node("format", format_answer)

    graph.add_edge(START, "intent")
    graph.add_conditional_edges("intent", edges.after_intent, ["route", "format"])
    graph.add_conditional_edges("route", edges.after_route, ["llm", "format"])
    graph.add_conditional_edges("llm", edges.after_llm, ["tools", "retry", "guardrail", "format"])
    graph.add_conditional_edges("guardrail", edges.after_guardrail, ["tools", "format"])
    graph.add_edge("tools", "llm")
    graph.add_edge("retry", "route")
    graph.add_edge("format", END)
    return graph.compile()
