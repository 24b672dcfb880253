"""Runs the graph for one turn."""

from __future__ import annotations

from collections.abc import Callable

from langchain_core.runnables import RunnableConfig

from gateway.agent.budget.turn_budget import TurnBudget
from gateway.agent.context import AgentContext, AgentResources
from gateway.agent.context_window.memory import Memory
from gateway.agent.graph import build_graph
from gateway.agent.guards.input import has_input_guards
from gateway.agent.state import initial_state
from gateway.domain.config.catalog import AUTO
from gateway.domain.config.guardrails import GuardModes
from gateway.domain.events import ChatEvent, ModelCall
from gateway.domain.messages import Message
from gateway.domain.requests import Turn
from gateway.tools.base import TurnServices

# intent, route, guardrail and format, with some air.
_FIXED_STEPS = 8
_NO_SERVICES = TurnServices()


class AgentRunner:
    """The compiled graph, for all turns."""

    def __init__(self, resources: AgentResources) -> None:
        self.resources = resources
        self._classifying_graph = build_graph("intent")
        self._direct_graph = build_graph("route")
        rounds = resources.catalog.tools.max_rounds
        calls = sum(
            len(model.providers) + resources.catalog.retry.attempts
            for model in resources.catalog.models.values()
        )
        # Each round is llm, guardrail and tools, each failed call llm, retry and route; past both caps the
        # edges end the turn by themselves, so this limit is never what stops one.
        self._config: RunnableConfig = {"recursion_limit": _FIXED_STEPS + 3 * (rounds + 1) * (calls + 1)}

    async def run(
        self,
        turn: Turn,
        messages: tuple[Message, ...],
        *,
        guard: GuardModes,
        allowed_models: frozenset[str] | None,
        attempts: list[ModelCall],
        emit: Callable[[ChatEvent], None],
        memory: Memory | None = None,
        services: TurnServices = _NO_SERVICES,
        budget: TurnBudget | None = None,
    ) -> None:
        """Run the turn to its end: its last event is `TurnCompleted` or `TurnFailed`, without storage's ids.

        Args:
            messages: system prompt, history and question, oldest first.
            attempts: filled with each model call as it ends, also when this task is cancelled.
            emit: given each event as it happens; must not wait.
            memory: of a kept conversation, which made `messages`; left with the notes to be stored. Nothing
                is left out of other turns.
            services: what tools may have done on the turn's account.
            budget: what the turn may spend; None where nothing limits it.
        """
        context = AgentContext(
            self.resources,
            guard,
            attempts,
            emit,
            memory=memory,
            services=services,
            budget=budget,
            allowed_models=allowed_models,
        )
        state = initial_state(turn, messages, allowed_models)
        # Routing, a guardrail or a receipt that is kept may depend on what the question is about.
        classified = turn.persisted or turn.model == AUTO or has_input_guards(guard, messages)
        graph = self._classifying_graph if classified else self._direct_graph
        try:
            # No stream mode: what is said goes through `emit`, and the final state says nothing more.
            async for _ in graph.astream(state, context=context, stream_mode=[], config=self._config):
                pass
        finally:
            await context.aclose()
