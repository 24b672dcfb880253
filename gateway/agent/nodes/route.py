"""Choose the model: by name, alias, role or difficulty, among those that can and may answer."""

from __future__ import annotations

from langgraph.runtime import Runtime

from gateway.agent.context import AgentContext
from gateway.agent.request import irreducible_tokens
from gateway.agent.selection import candidates, needs, resolve
from gateway.agent.state import AgentState, Route
from gateway.core.exceptions import GatewayError
from gateway.domain.catalog import AUTO
from gateway.domain.events import RouteChosen


async def route(state: AgentState, runtime: Runtime[AgentContext]) -> AgentState:
    """Take the best candidate; on a later visit, the next one that has not failed."""
    parts = runtime.context.parts
    turn, found = state["turn"], state["intent"]
    update = AgentState()
    names = state["candidates"]
    earlier = state.get("route")
    if earlier is None:
        try:
            wish = resolve(parts.catalog, turn, found)
            names = candidates(
                parts.catalog,
                turn,
                wish,
                allowed=state["allowed_models"],
                needed=needs(turn, has_images=any(m.has_images for m in state["messages"])),
                tokens=irreducible_tokens(turn, state["messages"]),
                usable=lambda model: parts.provider_of(model).configured,
            )
        except GatewayError as failure:
            return AgentState(failure=failure)
        update["first_choice"] = wish.models[0]
        reason = wish.reason
        if names[0] != wish.models[0]:
            reason += f" {names[0]} answers: {wish.models[0]} is not available or cannot do this."
    else:
        reason = f"{earlier.model} failed before its first word; {names[0]} is next in line."
    chosen = names[0]
    provider = parts.provider_of(parts.catalog.models[chosen]).name
    runtime.context.emit(RouteChosen(found.label, round(found.complexity, 3), chosen, provider, reason))
    update["route"] = Route(chosen, provider, turn.model or AUTO, reason)
    update["candidates"] = names[1:]
    return update
