"""Runs the graph for one turn."""

from __future__ import annotations

from langchain_core.runnables import RunnableConfig

from gateway.agent.context import AgentContext, AgentResources
from gateway.agent.graph import build_graph
from gateway.agent.guards.input import has_input_guards
from gateway.agent.state import initial_state
from gateway.agent.turn_run import TurnRun
from gateway.domain.config.catalog import AUTO

# intent, route, guardrail and format, with a margin.
_FIXED_STEPS = 8


class AgentRunner:
    """The compiled graph, shared by all turns."""

    def __init__(self, resources: AgentResources) -> None:
        self.resources = resources
        self._classifying_graph = build_graph("intent")
        self._direct_graph = build_graph("route")
        rounds = resources.catalog.tools.max_rounds
        calls = sum(
            len(model.providers) + resources.catalog.retry.attempts
            for model in resources.catalog.models.values()
        )
        # Each round is llm, guardrail and tools, each failed call llm, retry and route. The edges enforce
        # both limits, so the recursion limit is never reached.
        self._config: RunnableConfig = {"recursion_limit": _FIXED_STEPS + 3 * (rounds + 1) * (calls + 1)}

    async def run(self, run: TurnRun) -> None:
        """Run a turn to its end.

        The last event is `TurnCompleted` or `TurnFailed`, without ids of stored messages.
        """
        context = AgentContext(self.resources, run)
        state = initial_state(run.turn, run.messages, run.allowed_models)
        # Routing, guards and persisted receipts may depend on the intent.
        needs_intent = (
            run.turn.persisted or run.turn.model == AUTO or has_input_guards(run.guards, run.messages)
        )
        graph = self._classifying_graph if needs_intent else self._direct_graph
        try:
            # No stream mode: events are sent with `emit`.
            async for _ in graph.astream(state, context=context, stream_mode=[], config=self._config):
                pass
        finally:
            await context.aclose()
