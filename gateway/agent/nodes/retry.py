"""Make way after a call that failed without a word: for another of the same model, or for the next model."""

from __future__ import annotations

import asyncio

from langgraph.runtime import Runtime

from gateway.agent.context import AgentContext
from gateway.agent.routing.selection import failed_calls
from gateway.agent.state import AgentState
from gateway.core.exceptions import ContextLengthExceeded, InvalidRequest
from gateway.domain.config.catalog import Catalog


async def retry(state: AgentState, runtime: Runtime[AgentContext]) -> AgentState:
    """Put the model before the candidates again, where another upstream of it or a little time may help.

    Another upstream is asked at once; the same one within the budget for retries, after a pause that holds
    nothing and ends with the turn.
    """
    context = runtime.context
    upstreams, failure, model = context.resources.upstreams, state["failure"], state["route"].model
    if isinstance(failure, InvalidRequest):
        return _after_rejection(failure, model, state["candidates"], context.resources.catalog)
    failed = failed_calls(context.model_calls)
    if failure is None or not failed:
        return AgentState()
    tried = [upstreams.get(*call) for call in failed]
    if not upstreams.has_alternative(model, tried):
        if _was_slow(context):
            return AgentState()
        delay = upstreams.retry_delay(failure, model, sum(upstream.model == model for upstream in tried))
        if delay is None:
            return AgentState()
        await asyncio.sleep(delay)
    return AgentState(candidates=(model, *state["candidates"]))


def _was_slow(context: AgentContext) -> bool:
    """Whether the failed call took longer than a first token may: a second one keeps the caller waiting."""
    last = next(model_call for model_call in reversed(context.model_calls) if model_call.step == "answer")
    provider = context.resources.upstreams.get(last.model, last.provider).provider
    return last.ms > provider.timeouts.first_token * 1000


def _after_rejection(
    failure: InvalidRequest, model: str, candidates: tuple[str, ...], catalog: Catalog
) -> AgentState:
    """The same model refuses the same request again: only the next ones are left.

    After a context overflow these are the ones with a larger window, and the whole history is tried there.
    """
    if isinstance(failure, ContextLengthExceeded):
        window = catalog.models[model].context_window
        candidates = tuple(name for name in candidates if catalog.models[name].context_window > window)
    return AgentState(candidates=candidates, room=None, shrunk=0)
