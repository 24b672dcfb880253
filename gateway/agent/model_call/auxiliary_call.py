"""Short questions of the gateway's own to a model, on the way to an answer: bounded, and on the ledger."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace
from time import perf_counter
from typing import Any

import structlog

from gateway.agent.budget.turn_budget import TurnBudget
from gateway.agent.context import AgentResources
from gateway.agent.model_call.request_builder import prompt_tokens_to_reserve
from gateway.agent.model_call.response_accumulator import ResponseAccumulator
from gateway.agent.model_call.timeouts import timeouts_for
from gateway.agent.routing.breakers import Upstream
from gateway.agent.tracing import end_model_span, model_span
from gateway.core.exceptions import (
    GatewayError,
    UpstreamBroken,
    UpstreamRejected,
    UpstreamTimeout,
    UpstreamUnavailable,
)
from gateway.domain.events import CallPurpose, ModelCall, ProviderEvent
from gateway.domain.messages import Message
from gateway.domain.money import Usage
from gateway.domain.requests import ChatRequest, ResponseFormat, Sampling
from gateway.providers.base import require_chat
from gateway.providers.errors.reason import iter_texts, sanitize_error, status_and_reason

log = structlog.get_logger(__name__)

# Room for the thinking of a model whose answer has no limit of its own.
_THINKING_TOKENS = 2000
_SAMPLING_PARAMETER = re.compile(r"temperature|max_(?:completion_|output_)?tokens", re.I)


async def auxiliary_call(
    resources: AgentResources,
    model_name: str,
    messages: tuple[Message, ...],
    *,
    purpose: CallPurpose,
    model_calls: list[ModelCall],
    max_tokens: int,
    timeout_seconds: float,
    schema: dict[str, Any] | None = None,
    budget: TurnBudget | None = None,
) -> str:
    """What `model_name` answers to `messages`, whole, at temperature 0; noted in `attempts` however it ends.

    A model that refuses this is asked with its defaults instead, from then on at once.

    Args:
        schema: JSON Schema of the answer, passed on where the model can keep to one.
        budget: the turn's, which the call has to fit into.

    Raises:
        QuotaExceeded, BudgetExceeded: it does not fit. UpstreamError and its kin, as the provider does;
        UpstreamTimeout after `timeout_seconds`;
        UpstreamUnavailable without a call where all its upstreams are left alone.
    """
    if not any(upstream.defaults_only for upstream in resources.upstreams.for_model(model_name)):
        sampling = Sampling(temperature=0.0, max_tokens=max_tokens)
        request = _build_request(resources, model_name, messages, sampling, purpose, schema)
        try:
            return await _call_within_budget(
                resources, model_name, request, purpose, model_calls, timeout_seconds, budget, max_tokens
            )
        except UpstreamRejected as error:
            if not _rejects_sampling(error):
                _record_rejection(resources, model_name, purpose, error)
                raise
    # Reasoning models refuse any temperature and short limits: they think before they answer.
    request = _build_request(resources, model_name, messages, Sampling(), purpose, schema)
    answer_tokens = max_tokens + _THINKING_TOKENS
    try:
        answer = await _call_within_budget(
            resources, model_name, request, purpose, model_calls, timeout_seconds, budget, answer_tokens
        )
    except UpstreamRejected as error:
        _record_rejection(resources, model_name, purpose, error)
        raise
    for upstream in resources.upstreams.for_model(model_name):
        upstream.defaults_only = True
    return answer


def _build_request(
    resources: AgentResources,
    model_name: str,
    messages: tuple[Message, ...],
    sampling: Sampling,
    purpose: CallPurpose,
    schema: dict[str, Any] | None,
) -> ChatRequest:
    model = resources.catalog.models[model_name]
    response_format = None
    if schema is not None and "json" in model.capabilities:
        response_format = ResponseFormat("json_schema", purpose, schema, strict=True)
    return ChatRequest(
        model=model.model,
        messages=messages,
        sampling=sampling,
        response_format=response_format,
        stream=False,
        context_window=model.context_window,
        max_output_tokens=model.max_output_tokens,
    )


async def _call_within_budget(
    resources: AgentResources,
    model_name: str,
    request: ChatRequest,
    purpose: CallPurpose,
    model_calls: list[ModelCall],
    timeout_seconds: float,
    budget: TurnBudget | None,
    answer_tokens: int,
) -> str:
    """The call with at most `answer` tokens of answer held of the turn's budget while it runs."""
    reservation = None
    if budget is not None:
        price = resources.catalog.price_of(model_name)
        reservation = await budget.reserve_call(
            model_calls, prompt_tokens_to_reserve(request.messages, ()), answer_tokens, price
        )
        if (
            request.sampling.max_tokens is not None
            and reservation.answer_tokens < request.sampling.max_tokens
        ):
            request = replace(
                request, sampling=replace(request.sampling, max_tokens=reservation.answer_tokens)
            )
    try:
        return await _call(
            resources, model_name, request, ResponseAccumulator(), purpose, model_calls, timeout_seconds
        )
    finally:
        if budget is not None and reservation is not None:
            budget.release_call(reservation, Usage())


def _rejects_sampling(error: UpstreamRejected) -> bool:
    """Whether the refusal names the temperature or the limit of tokens."""
    refusal = error.upstream_reply
    return refusal is not None and bool(_SAMPLING_PARAMETER.search(f"{refusal.param} {refusal.reason}"))


def _record_rejection(
    resources: AgentResources, model_name: str, purpose: CallPurpose, error: UpstreamRejected
) -> None:
    """Warn of a refusal, which lasts until somebody acts; administrators see it with the model."""
    provider = error.last_upstream[0] if error.last_upstream is not None else ""
    status, reason = status_and_reason(error)
    for upstream in resources.upstreams.for_model(model_name):
        if upstream.provider.name == provider:
            upstream.recent_calls.record_error(error)
    log.warning(
        "side_call.refused",
        step=purpose,
        model=model_name,
        upstream=provider,
        upstream_status=status,
        reason=reason,
    )


async def _call(
    resources: AgentResources,
    model_name: str,
    request: ChatRequest,
    response: ResponseAccumulator,
    purpose: CallPurpose,
    model_calls: list[ModelCall],
    timeout_seconds: float,
) -> str:
    """The call, once it is paid for."""
    upstream, probe = await _choose_upstream(resources, model_name)
    provider = require_chat(upstream.provider)
    outcome, refusal = "cancelled", None
    started = perf_counter()
    with model_span(provider, model_name, request) as call_span:
        try:
            # Our own time limit, shorter than an answer's, tells nothing of the upstream.
            with resources.upstreams.track(upstream, probe):
                response.request_sent = True
                async with asyncio.timeout(min(timeout_seconds, timeouts_for(provider, request).silence)):
                    await _collect(provider.stream(request), response)
            outcome = "ok"
        except TimeoutError as error:
            outcome = UpstreamTimeout.code
            raise UpstreamTimeout from error
        except GatewayError as error:
            sanitize_error(error, provider.config, iter_texts(request.messages))
            error.last_upstream = (provider.name, model_name)
            outcome, refusal = error.code, error.upstream_reply
            response.record_failure(error)
            raise
        finally:
            usage = response.usage_or_estimate(request, resources.catalog.models[model_name].context_window)
            model_call = ModelCall(
                model=model_name,
                provider=provider.name,
                outcome=outcome,
                ms=round((perf_counter() - started) * 1000, 3),
                usage=usage,
                cost_usd=resources.catalog.price_of(model_name).cost(usage),
                step=purpose,
                upstream_reply=refusal,
            )
            model_calls.append(model_call)
            end_model_span(call_span, model_call, response)
    return response.text


async def _collect(stream: AsyncGenerator[ProviderEvent, None], response: ResponseAccumulator) -> None:
    async with aclosing(stream) as events:
        async for event in events:
            response.add(event)
    if response.finish_reason is None:
        raise UpstreamBroken


async def _choose_upstream(resources: AgentResources, model: str) -> tuple[Upstream, str | None]:
    """An upstream to ask, with the token of the probe that this may be."""
    if not resources.upstreams.for_model(model):
        raise UpstreamUnavailable("No provider of this model is configured.", transient=False)
    choice = resources.upstreams.choose_if_healthy((model,)) or await resources.upstreams.choose((model,))
    if choice.upstream is None:
        raise UpstreamUnavailable(retry_after=choice.retry_after, transient=False)
    return choice.upstream, choice.probe
