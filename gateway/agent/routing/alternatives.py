"""Whether other models could answer a turn, and how that changes a call."""

from __future__ import annotations

import re
from dataclasses import replace

from gateway.agent.context import AgentContext, AgentResources
from gateway.agent.model_call.request_builder import build_request
from gateway.agent.routing.selection import failed_calls
from gateway.agent.state import AgentState
from gateway.core.exceptions import GatewayError
from gateway.domain.requests import ChatRequest, Sampling
from gateway.providers.base import ChatProvider

# Statuses with which servers reject a field of the request or the streaming endpoint.
_REJECTION_STATUSES = frozenset({400, 404, 405, 422, 501})
_STREAM_PARAMETER = re.compile(r"\bstream(?:ed|ing)?\b", re.I)


def skip_unsupporting_models(
    names: tuple[str, ...], state: AgentState, resources: AgentResources
) -> tuple[str, ...]:
    """Drop leading models whose providers lack a parameter; empty if all do."""
    if not _has_special_parameters(state):
        return names
    for index, name in enumerate(names):
        if _supports_request(name, state, resources):
            return names[index:]
    return ()


def stream_if_alternatives(request: ChatRequest, state: AgentState, context: AgentContext) -> ChatRequest:
    """Stream an unstreamed call if another upstream could take over.

    Only a stream shows early that an upstream is silent; the stream is assembled again.
    """
    if request.stream:
        return request
    route, upstreams = state["route"], context.resources.upstreams
    upstream = upstreams.get(route.model, route.provider)
    if not upstream.accepts_streams:
        return request
    tried = [upstream, *(upstreams.get(*call) for call in failed_calls(context.run.model_calls))]
    supported_by_all = not _has_special_parameters(state)
    for name in (route.model, *state["candidates"]):
        if upstreams.has_alternative(name, tried) and (
            supported_by_all or _supports_request(name, state, context.resources)
        ):
            return replace(request, stream=True, assembled=True)
    return request


def rejects_streaming(error: GatewayError) -> bool:
    """Whether the upstream rejected the request because it streams."""
    reply = error.upstream_reply
    if reply is None or reply.status not in _REJECTION_STATUSES:
        return False
    return reply.param == "stream" or (reply.param is None and bool(_STREAM_PARAMETER.search(reply.reason)))


def _supports_request(name: str, state: AgentState, resources: AgentResources) -> bool:
    """Whether a provider of the model supports all parameters of the request."""
    request = build_request(
        state, resources.catalog.models[name], (), max_rounds=resources.catalog.tools.max_rounds
    )
    raw = any(message.raw_parts for message in state["messages"])
    providers = [upstream.provider for upstream in resources.upstreams.for_model(name)]
    return any(
        isinstance(provider, ChatProvider)
        and (provider.supports_raw_parts or not raw)
        and provider.find_unsupported(request) is None
        for provider in providers
    )


def _has_special_parameters(state: AgentState) -> bool:
    """Whether the request uses anything that some provider lacks; most do not."""
    turn = state["turn"]
    sampling = replace(turn.sampling, temperature=None, max_tokens=None)
    return (
        sampling != Sampling()
        or bool(turn.extra or turn.client_tools or turn.response_format or turn.logprobs)
        or turn.parallel_tool_calls is not None
        or any(message.has_images or message.raw_parts for message in state["messages"])
    )
