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

from gateway.agent.context import AgentParts
from gateway.agent.patience import patience_of
from gateway.agent.recovery.breakers import Upstream
from gateway.agent.reply import Reply
from gateway.agent.request import reserved_prompt_tokens
from gateway.agent.spans import end_model_span, model_span
from gateway.agent.turn_budget import TurnBudget
from gateway.core.exceptions import (
    GatewayError,
    UpstreamBroken,
    UpstreamRejected,
    UpstreamTimeout,
    UpstreamUnavailable,
)
from gateway.domain.chat import ChatRequest, ResponseFormat, Sampling
from gateway.domain.events import Attempt, ProviderEvent, Step
from gateway.domain.messages import Message
from gateway.domain.usage import Usage
from gateway.providers.chat.reasons import explain, status_and_reason, texts_of

log = structlog.get_logger(__name__)

# Room for the thinking of a model whose answer has no limit of its own.
_THINKING_TOKENS = 2000
_SAMPLING = re.compile(r"temperature|max_(?:completion_|output_)?tokens", re.I)


async def side_call(
    parts: AgentParts,
    model_name: str,
    messages: tuple[Message, ...],
    *,
    step: Step,
    attempts: list[Attempt],
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
    if not any(upstream.takes_defaults_only for upstream in parts.upstreams.of(model_name)):
        sampling = Sampling(temperature=0.0, max_tokens=max_tokens)
        request = _request(parts, model_name, messages, sampling, step, schema)
        try:
            return await _within(
                parts, model_name, request, step, attempts, timeout_seconds, budget, max_tokens
            )
        except UpstreamRejected as error:
            if not _of_the_sampling(error):
                _complain(parts, model_name, step, error)
                raise
    # Reasoning models refuse any temperature and short limits: they think before they answer.
    request = _request(parts, model_name, messages, Sampling(), step, schema)
    room = max_tokens + _THINKING_TOKENS
    try:
        said = await _within(parts, model_name, request, step, attempts, timeout_seconds, budget, room)
    except UpstreamRejected as error:
        _complain(parts, model_name, step, error)
        raise
    for upstream in parts.upstreams.of(model_name):
        upstream.takes_defaults_only = True
    return said


def _request(
    parts: AgentParts,
    model_name: str,
    messages: tuple[Message, ...],
    sampling: Sampling,
    step: Step,
    schema: dict[str, Any] | None,
) -> ChatRequest:
    model = parts.catalog.models[model_name]
    wanted = None
    if schema is not None and "json" in model.capabilities:
        wanted = ResponseFormat("json_schema", step, schema, strict=True)
    return ChatRequest(
        model=model.model,
        messages=messages,
        sampling=sampling,
        response_format=wanted,
        incremental=False,
        context_window=model.context_window,
        max_output_tokens=model.max_output_tokens,
    )


async def _within(
    parts: AgentParts,
    model_name: str,
    request: ChatRequest,
    step: Step,
    attempts: list[Attempt],
    timeout_seconds: float,
    budget: TurnBudget | None,
    answer: int,
) -> str:
    """The call with at most `answer` tokens of answer held of the turn's budget while it runs."""
    covered = None
    if budget is not None:
        price = parts.catalog.price_of(model_name)
        covered = await budget.cover(attempts, reserved_prompt_tokens(request.messages, ()), answer, price)
        if request.sampling.max_tokens is not None and covered.answer < request.sampling.max_tokens:
            request = replace(request, sampling=replace(request.sampling, max_tokens=covered.answer))
    try:
        return await _asked(parts, model_name, request, Reply(), step, attempts, timeout_seconds)
    finally:
        if budget is not None and covered is not None:
            budget.end(covered, Usage())


def _of_the_sampling(error: UpstreamRejected) -> bool:
    """Whether the refusal names the temperature or the limit of tokens."""
    refusal = error.upstream
    return refusal is not None and bool(_SAMPLING.search(f"{refusal.param} {refusal.reason}"))


def _complain(parts: AgentParts, model_name: str, step: Step, error: UpstreamRejected) -> None:
    """Warn of a refusal, which lasts until somebody acts; administrators see it with the model."""
    provider = error.asked[0] if error.asked is not None else ""
    status, reason = status_and_reason(error)
    for upstream in parts.upstreams.of(model_name):
        if upstream.provider.name == provider:
            upstream.last.note(error)
    log.warning(
        "side_call.refused",
        step=step,
        model=model_name,
        upstream=provider,
        upstream_status=status,
        reason=reason,
    )


async def _asked(
    parts: AgentParts,
    model_name: str,
    request: ChatRequest,
    reply: Reply,
    step: Step,
    attempts: list[Attempt],
    timeout_seconds: float,
) -> str:
    """The call, once it is paid for."""
    upstream, probe = await _take(parts, model_name)
    provider = upstream.provider
    outcome, refusal = "cancelled", None
    started = perf_counter()
    with model_span(provider, model_name, request) as it:
        try:
            # Our own time limit, shorter than an answer's, tells nothing of the upstream.
            with parts.upstreams.calling(upstream, probe):
                reply.sent = True
                async with asyncio.timeout(min(timeout_seconds, patience_of(provider, request).silence)):
                    await _whole(provider.stream(request), reply)
            outcome = "ok"
        except TimeoutError as error:
            outcome = UpstreamTimeout.code
            raise UpstreamTimeout from error
        except GatewayError as error:
            explain(error, provider.config, texts_of(request.messages))
            error.asked = (provider.name, model_name)
            outcome, refusal = error.code, error.upstream
            reply.failed(error)
            raise
        finally:
            usage = reply.usage_or_estimate(request, parts.catalog.models[model_name].context_window)
            attempt = Attempt(
                model=model_name,
                provider=provider.name,
                outcome=outcome,
                ms=round((perf_counter() - started) * 1000, 3),
                usage=usage,
                cost_usd=parts.catalog.price_of(model_name).cost(usage),
                step=step,
                upstream=refusal,
            )
            attempts.append(attempt)
            end_model_span(it, attempt, reply)
    return reply.text


async def _whole(stream: AsyncGenerator[ProviderEvent, None], reply: Reply) -> None:
    async with aclosing(stream) as events:
        async for event in events:
            reply.add(event)
    if reply.finish_reason is None:
        raise UpstreamBroken


async def _take(parts: AgentParts, model: str) -> tuple[Upstream, str | None]:
    """An upstream to ask, with the token of the probe that this may be."""
    if not parts.upstreams.of(model):
        raise UpstreamUnavailable("No provider of this model is configured.", transient=False)
    choice = parts.upstreams.ready((model,)) or await parts.upstreams.choose((model,))
    if choice.upstream is None:
        raise UpstreamUnavailable(retry_after=choice.wait, transient=False)
    return choice.upstream, choice.probe
