"""Choose who answers: a model by name, alias, role or difficulty, and the least busy of its upstreams."""

from __future__ import annotations

from langgraph.runtime import Runtime

from gateway.agent.context import AgentContext, AgentParts
from gateway.agent.others import from_first_able
from gateway.agent.recovery.breakers import Upstream
from gateway.agent.recovery.upstreams import Choice
from gateway.agent.request import irreducible_tokens
from gateway.agent.selection import Wish, candidates, failed_calls, needs, resolve
from gateway.agent.state import AgentState, Route
from gateway.core.exceptions import CircuitOpen, ContextLengthExceeded, GatewayError
from gateway.domain.catalog import AUTO
from gateway.domain.events import RouteChosen


async def route(state: AgentState, runtime: Runtime[AgentContext]) -> AgentState:
    """Take the best candidate that is not left alone; on a later visit, the next one to try."""
    earlier = state.get("route")
    if earlier is not None:
        return await _next(state, earlier, runtime.context)
    parts = runtime.context.parts
    try:
        wish = resolve(parts.catalog, state["turn"], state["intent"])
        names = _candidates(state, wish, parts)
    except GatewayError as failure:
        return AgentState(failure=failure)
    if not wish.named:
        names = parts.upstreams.answering_first(names)
        names = from_first_able(names, state, parts) or names
    choice = parts.upstreams.ready(names) or await parts.upstreams.choose(names)
    if choice.upstream is None:
        return AgentState(failure=CircuitOpen(retry_after=choice.wait), breakers=choice.passed)
    model = choice.upstream.model
    reason = wish.reason + _instead(names, model, wish)
    update = _taken(state, names, choice.upstream, reason, runtime.context, choice)
    update["first_choice"] = wish.models[0]
    return update


async def _next(state: AgentState, earlier: Route, context: AgentContext) -> AgentState:
    """After a failure; where nobody is left to ask, it stands."""
    upstreams, names = context.parts.upstreams, state["candidates"]
    if names and names[0] != earlier.model:
        names = upstreams.answering_first(names)
        names = from_first_able(names, state, context.parts)
    if not names:
        return AgentState()
    tried = [upstreams.at(*call) for call in failed_calls(context.attempts)]
    choice = upstreams.ready(names, tried) or await upstreams.choose(names, tried)
    if choice.upstream is None:
        return AgentState(breakers={**state["breakers"], **choice.passed})
    model, provider = choice.upstream.model, choice.upstream.provider.name
    if model != earlier.model and isinstance(state["failure"], ContextLengthExceeded):
        reason = f"The request is too long for {earlier.model}; {model} has a larger context window."
    elif model != earlier.model:
        reason = f"{earlier.model} failed before its first word; {model} is next in line."
    elif provider != earlier.provider:
        reason = f"{model} failed at {earlier.provider} before its first word; {provider} is asked for it."
    else:
        reason = f"{model} failed before its first word and is asked once more."
    return _taken(state, names, choice.upstream, reason, context, choice)


def _candidates(state: AgentState, wish: Wish, parts: AgentParts) -> tuple[str, ...]:
    turn = state["turn"]
    return candidates(
        parts.catalog,
        turn,
        wish,
        allowed=state["allowed_models"],
        needed=needs(turn, has_images=any(m.has_images for m in state["messages"])),
        tokens=irreducible_tokens(turn, state["messages"]),
        usable=lambda name: bool(parts.upstreams.of(name)),
    )


def _instead(names: tuple[str, ...], model: str, wish: Wish) -> str:
    """Why another model answers than the first one wished for; empty where it does."""
    if model != names[0]:
        return f" {model} answers: {names[0]} has failed or refused too often just now and is spared."
    if model != wish.models[0]:
        return f" {model} answers: {wish.models[0]} is not available or cannot do this."
    return ""


def _taken(
    state: AgentState,
    names: tuple[str, ...],
    upstream: Upstream,
    reason: str,
    context: AgentContext,
    choice: Choice,
) -> AgentState:
    model, provider, found = upstream.model, upstream.provider.name, state["intent"]
    if choice.probe is not None:
        context.probe = (upstream, choice.probe)
    earlier = state.get("route")
    if earlier is None or (earlier.model, earlier.provider) != (model, provider):
        context.emit(RouteChosen(found.label, round(found.complexity, 3), model, provider, reason))
    update = AgentState(
        route=Route(model, provider, state["turn"].model or AUTO, reason),
        candidates=names[names.index(model) + 1 :],
        failure=None,
    )
    if choice.passed:
        update["breakers"] = {**state["breakers"], **choice.passed}
    return update
