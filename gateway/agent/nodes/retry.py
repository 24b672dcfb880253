"""After a call that failed without output: retry the model or move to the next."""

from __future__ import annotations

import asyncio

from langgraph.runtime import Runtime

from gateway.agent.context import AgentContext
from gateway.agent.routing.selection import failed_calls
from gateway.agent.state import AgentState
from gateway.core.exceptions import ContextLengthExceeded, InvalidRequest
from gateway.domain.config.catalog import Catalog


async def retry(state: AgentState, runtime: Runtime[AgentContext]) -> AgentState:
    """Put the model back in front of the candidates if another call may succeed.

    Another upstream of the model is called at once. The same upstream is called within the retry budget and
    after a delay, which holds no resources and ends with the turn.
    """
    context = runtime.context
    upstreams, failure, model = context.resources.upstreams, state["failure"], state["route"].model
    if isinstance(failure, InvalidRequest):
        return _after_rejection(failure, model, state["candidates"], context.resources.catalog)
    failed = failed_calls(context.run.model_calls)
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
    """Whether the call took longer than a first token may: too late for a retry."""
    last = next(model_call for model_call in reversed(context.run.model_calls) if model_call.step == "answer")
    provider = context.resources.upstreams.get(last.model, last.provider).provider
    return last.ms > provider.timeouts.first_token * 1000


def _after_rejection(
    failure: InvalidRequest, model: str, candidates: tuple[str, ...], catalog: Catalog
) -> AgentState:
    """Continue with the next candidates: the model would reject the request again.

    After a context overflow only models with a larger window remain, and they get the full history.
    """
    if isinstance(failure, ContextLengthExceeded):
        window = catalog.models[model].context_window
        candidates = tuple(name for name in candidates if catalog.models[name].context_window > window)
    return AgentState(candidates=candidates, token_limit=None, shrink_count=0)
