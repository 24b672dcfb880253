"""Short questions of the gateway's own to a model, on the way to an answer: bounded, and on the ledger."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from time import perf_counter
from typing import Any

from gateway.agent.context import AgentParts
from gateway.agent.patience import patience_of
from gateway.agent.recovery.breakers import Upstream
from gateway.agent.reply import Reply
from gateway.agent.request import prompt_tokens
from gateway.agent.spans import end_model_span, model_span
from gateway.agent.turn_budget import TurnBudget
from gateway.core.exceptions import GatewayError, UpstreamBroken, UpstreamTimeout, UpstreamUnavailable
from gateway.domain.chat import ChatRequest, ResponseFormat, Sampling
from gateway.domain.events import Attempt, ProviderEvent, Step
from gateway.domain.messages import Message
from gateway.domain.usage import Usage
from gateway.providers.chat.reasons import explain, texts_of


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

    Args:
        schema: JSON Schema of the answer, passed on where the model can keep to one.
        budget: the turn's, which the call has to fit into.

    Raises:
        QuotaExceeded, BudgetExceeded: it does not fit. UpstreamError and its kin, as the provider does;
        UpstreamTimeout after `timeout_seconds`;
        UpstreamUnavailable without a call where all its upstreams are left alone.
    """
    model = parts.catalog.models[model_name]
    wanted = None
    if schema is not None and "json" in model.capabilities:
        wanted = ResponseFormat("json_schema", step, schema, strict=True)
    request = ChatRequest(
        model=model.model,
        messages=messages,
        sampling=Sampling(temperature=0.0, max_tokens=max_tokens),
        response_format=wanted,
        incremental=False,
        context_window=model.context_window,
        max_output_tokens=model.max_output_tokens,
    )
    reply = Reply()
    price = parts.catalog.price_of(model_name)
    covered = None
    if budget is not None:
        covered = await budget.cover(attempts, prompt_tokens(messages, ()), max_tokens, price)
    try:
        return await _asked(parts, model_name, request, reply, step, attempts, timeout_seconds)
    finally:
        if budget is not None and covered is not None:
            budget.end(covered, Usage())


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
    outcome, told = "cancelled", None
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
            outcome, told = error.code, error.upstream
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
                upstream=told,
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
