"""Select the model and its least busy upstream."""

from __future__ import annotations

from langgraph.runtime import Runtime

from gateway.agent.context import AgentContext, AgentResources
from gateway.agent.model_call.request_builder import minimum_tokens
from gateway.agent.routing.alternatives import skip_unsupporting_models
from gateway.agent.routing.selection import (
    ModelPreference,
    Requirements,
    failed_calls,
    required_capabilities,
    resolve_preference,
    select_candidates,
)
from gateway.agent.routing.upstream import Upstream
from gateway.agent.routing.upstream_pool import UpstreamChoice
from gateway.agent.state import AgentState, Route
from gateway.core.exceptions import CircuitOpen, ContextLengthExceeded, GatewayError
from gateway.domain.config.catalog import AUTO
from gateway.domain.events import RouteChosen


async def route(state: AgentState, runtime: Runtime[AgentContext]) -> AgentState:
    """Select the first available candidate; after a failure, the next one."""
    previous = state.get("route")
    if previous is not None:
        return await _next_candidate(state, previous, runtime.context)
    resources = runtime.context.resources
    try:
        preference = resolve_preference(resources.catalog, state["turn"], state["intent"])
        models = _candidates(state, preference, resources)
    except GatewayError as failure:
        return AgentState(failure=failure)
    if not preference.explicit:
        models = resources.upstreams.reachable_first(models)
        models = skip_unsupporting_models(models, state, resources) or models
    choice = resources.upstreams.choose_if_healthy(models) or await resources.upstreams.choose(models)
    if choice.upstream is None:
        return AgentState(
            failure=CircuitOpen(retry_after=choice.retry_after), breakers=choice.skipped_breakers
        )
    model = choice.upstream.model
    reason = preference.reason + _fallback_reason(models, model, preference)
    update = _routed(state, models, choice.upstream, reason, runtime.context, choice)
    update["preferred_model"] = preference.models[0]
    return update


async def _next_candidate(state: AgentState, previous: Route, context: AgentContext) -> AgentState:
    """Select the next candidate; if none is left, keep the failure."""
    upstreams, models = context.resources.upstreams, state["candidates"]
    if models and models[0] != previous.model:
        models = upstreams.reachable_first(models)
        models = skip_unsupporting_models(models, state, context.resources)
    if not models:
        return AgentState()
    tried = [upstreams.get(*call) for call in failed_calls(context.run.model_calls)]
    choice = upstreams.choose_if_healthy(models, tried) or await upstreams.choose(models, tried)
    if choice.upstream is None:
        return AgentState(breakers={**state["breakers"], **choice.skipped_breakers})
    model, provider = choice.upstream.model, choice.upstream.provider.name
    if model != previous.model and isinstance(state["failure"], ContextLengthExceeded):
        reason = f"The request is too long for {previous.model}; {model} has a larger context window."
    elif model != previous.model:
        reason = f"{previous.model} failed before any output; {model} is the next fallback."
    elif provider != previous.provider:
        reason = f"{model} failed at {previous.provider} before any output; {provider} is tried next."
    else:
        reason = f"{model} failed before any output and is retried."
    return _routed(state, models, choice.upstream, reason, context, choice)


def _candidates(state: AgentState, preference: ModelPreference, resources: AgentResources) -> tuple[str, ...]:
    turn = state["turn"]
    requirements = Requirements(
        required_capabilities(turn, has_images=any(m.has_images for m in state["messages"])),
        minimum_tokens(turn, state["messages"]),
    )
    return select_candidates(
        resources.catalog,
        turn,
        preference,
        allowed=state["allowed_models"],
        requirements=requirements,
        usable=lambda name: bool(resources.upstreams.for_model(name)),
    )


def _fallback_reason(models: tuple[str, ...], model: str, preference: ModelPreference) -> str:
    """Why the first choice does not answer; empty if it does."""
    if model != models[0]:
        return f" {model} answers: {models[0]} is unavailable after repeated failures."
    if model != preference.models[0]:
        return f" {model} answers: {preference.models[0]} is not available or lacks a required capability."
    return ""


def _routed(
    state: AgentState,
    models: tuple[str, ...],
    upstream: Upstream,
    reason: str,
    context: AgentContext,
    choice: UpstreamChoice,
) -> AgentState:
    model, provider, intent = upstream.model, upstream.provider.name, state["intent"]
    if choice.probe is not None:
        context.probe = (upstream, choice.probe)
    previous = state.get("route")
    if previous is None or (previous.model, previous.provider) != (model, provider):
        context.run.emit(RouteChosen(intent.label, round(intent.complexity, 3), model, provider, reason))
    update = AgentState(
        route=Route(model, provider, state["turn"].model or AUTO, reason),
        candidates=models[models.index(model) + 1 :],
        failure=None,
    )
    if choice.skipped_breakers:
        update["breakers"] = {**state["breakers"], **choice.skipped_breakers}
    return update
