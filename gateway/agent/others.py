"""Whether another model could answer a turn, and how a call is made where one could."""

from __future__ import annotations

import re
from dataclasses import replace

from gateway.agent.context import AgentContext, AgentParts
from gateway.agent.request import build_request
from gateway.agent.selection import failed_calls
from gateway.agent.state import AgentState
from gateway.core.exceptions import GatewayError
from gateway.domain.chat import ChatRequest, Sampling

# By these statuses servers refuse a field of the request or the address of their streams.
_REFUSALS = frozenset({400, 404, 405, 422, 501})
_STREAM = re.compile(r"\bstream(?:ed|ing)?\b", re.I)


def from_first_able(names: tuple[str, ...], state: AgentState, parts: AgentParts) -> tuple[str, ...]:
    """`names` without the leading ones whose providers lack a parameter of the request; empty if all do."""
    if not _has_particulars(state):
        return names
    for at, name in enumerate(names):
        if _is_able(name, state, parts):
            return names[at:]
    return ()


def streamed_where_others_could_answer(
    request: ChatRequest, state: AgentState, context: AgentContext
) -> ChatRequest:
    """The request as a stream that is assembled, where its caller wants the whole answer and another upstream
    could give one: only a stream shows in time that an upstream is silent.
    """
    if request.incremental:
        return request
    route, upstreams = state["route"], context.parts.upstreams
    upstream = upstreams.at(route.model, route.provider)
    if not upstream.streams:
        return request
    tried = [upstream, *(upstreams.at(*call) for call in failed_calls(context.attempts))]
    plain = not _has_particulars(state)
    for name in (route.model, *state["candidates"]):
        if upstreams.another(name, tried) and (plain or _is_able(name, state, context.parts)):
            return replace(request, incremental=True, assembled=True)
    return request


def refuses_streams(error: GatewayError) -> bool:
    """Whether an upstream refuses the request because it is a stream."""
    reply = error.upstream
    if reply is None or reply.status not in _REFUSALS:
        return False
    return reply.param == "stream" or (reply.param is None and bool(_STREAM.search(reply.reason)))


def _is_able(name: str, state: AgentState, parts: AgentParts) -> bool:
    """Whether a provider of the model has all parameters of the request."""
    request = build_request(state, parts.catalog.models[name], (), max_rounds=parts.catalog.tools.max_rounds)
    raw = any(message.raw_parts for message in state["messages"])
    providers = [upstream.provider for upstream in parts.upstreams.of(name)]
    return any((it.takes_raw_parts or not raw) and it.refusal(request) is None for it in providers)


def _has_particulars(state: AgentState) -> bool:
    """Whether the request has anything that some provider lacks; most have nothing of it."""
    turn = state["turn"]
    sampling = replace(turn.sampling, temperature=None, max_tokens=None)
    return (
        sampling != Sampling()
        or bool(turn.extra or turn.client_tools or turn.response_format or turn.logprobs)
        or turn.parallel_tool_calls is not None
        or any(message.has_images or message.raw_parts for message in state["messages"])
    )
