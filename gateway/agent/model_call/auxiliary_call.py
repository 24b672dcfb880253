"""Short model calls of the gateway itself: intent, moderation, summaries and titles."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, replace
from time import perf_counter
from typing import Any

import structlog

from gateway.agent.budget.turn_budget import TurnBudget
from gateway.agent.context import AgentResources
from gateway.agent.model_call.request_builder import prompt_tokens_to_reserve
from gateway.agent.model_call.response_accumulator import ResponseAccumulator
from gateway.agent.model_call.timeouts import timeouts_for
from gateway.agent.routing.upstream import Upstream
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

# Additional tokens for models that think before they answer.
_THINKING_TOKENS = 2000
_SAMPLING_PARAMETER = re.compile(r"temperature|max_(?:completion_|output_)?tokens", re.I)


@dataclass(frozen=True, slots=True)
class AuxiliaryCall:
    """A question of the gateway itself; `schema` is used if the model supports JSON schemas."""

    purpose: CallPurpose
    model: str
    messages: tuple[Message, ...]
    max_tokens: int
    timeout_seconds: float
    schema: dict[str, Any] | None = None


async def run_auxiliary_call(
    resources: AgentResources,
    call: AuxiliaryCall,
    model_calls: list[ModelCall],
    budget: TurnBudget | None = None,
) -> str:
    """Return the model's complete answer, at temperature 0.

    A model that rejects the temperature or token limit is called with its defaults from then on.

    Args:
        model_calls: the call is appended, however it ends.
        budget: of the turn; the call has to fit into it.

    Raises:
        QuotaExceeded, BudgetExceeded: the call does not fit.
        UpstreamTimeout: after `timeout_seconds`.
        UpstreamUnavailable: no upstream may be called. UpstreamError and other errors of the provider.
    """
    runner = _AuxiliaryCallRunner(resources, call, model_calls, budget)
    upstreams = resources.upstreams.for_model(call.model)
    if not any(upstream.defaults_only for upstream in upstreams):
        try:
            return await runner.run(Sampling(temperature=0.0, max_tokens=call.max_tokens), call.max_tokens)
        except UpstreamRejected as error:
            if not _rejects_sampling(error):
                runner.record_rejection(error)
                raise
    # Reasoning models reject temperatures and short limits.
    try:
        answer = await runner.run(Sampling(), call.max_tokens + _THINKING_TOKENS)
    except UpstreamRejected as error:
        runner.record_rejection(error)
        raise
    for upstream in upstreams:
        upstream.defaults_only = True
    return answer


@dataclass(frozen=True, slots=True)
class _AuxiliaryCallRunner:
    resources: AgentResources
    call: AuxiliaryCall
    model_calls: list[ModelCall]
    budget: TurnBudget | None

    async def run(self, sampling: Sampling, answer_tokens: int) -> str:
        """Make the call, with `answer_tokens` reserved for its answer while it runs."""
        request = self._build_request(sampling)
        if self.budget is None:
            return await self._send(request)
        reservation = await self.budget.reserve_call(
            self.model_calls,
            prompt_tokens_to_reserve(request.messages, ()),
            answer_tokens,
            self.resources.catalog.price_of(self.call.model),
        )
        if sampling.max_tokens is not None and reservation.answer_tokens < sampling.max_tokens:
            request = replace(request, sampling=replace(sampling, max_tokens=reservation.answer_tokens))
        try:
            return await self._send(request)
        finally:
            self.budget.release_call(reservation, Usage())

    def _build_request(self, sampling: Sampling) -> ChatRequest:
        model = self.resources.catalog.models[self.call.model]
        response_format = None
        if self.call.schema is not None and "json" in model.capabilities:
            response_format = ResponseFormat("json_schema", self.call.purpose, self.call.schema, strict=True)
        return ChatRequest(
            model=model.model,
            messages=self.call.messages,
            sampling=sampling,
            response_format=response_format,
            stream=False,
            context_window=model.context_window,
            max_output_tokens=model.max_output_tokens,
        )

    async def _send(self, request: ChatRequest) -> str:
        upstream, probe = await self._choose_upstream()
        provider, response = require_chat(upstream.provider), ResponseAccumulator()
        outcome, upstream_reply = "cancelled", None
        started = perf_counter()
        with model_span(provider, self.call.model, request) as call_span:
            try:
                # This time limit is shorter than an answer's and says nothing about the upstream.
                with self.resources.upstreams.track(upstream, probe):
                    response.request_sent = True
                    silence = timeouts_for(provider, request).silence
                    async with asyncio.timeout(min(self.call.timeout_seconds, silence)):
                        await _collect(provider.stream(request), response)
                outcome = "ok"
            except TimeoutError as error:
                outcome = UpstreamTimeout.code
                raise UpstreamTimeout from error
            except GatewayError as error:
                sanitize_error(error, provider.config, iter_texts(request.messages))
                error.last_upstream = (provider.name, self.call.model)
                outcome, upstream_reply = error.code, error.upstream_reply
                response.record_failure(error)
                raise
            finally:
                catalog = self.resources.catalog
                usage = response.usage_or_estimate(request, catalog.models[self.call.model].context_window)
                model_call = ModelCall(
                    model=self.call.model,
                    provider=provider.name,
                    outcome=outcome,
                    ms=round((perf_counter() - started) * 1000, 3),
                    usage=usage,
                    cost_usd=catalog.price_of(self.call.model).cost(usage),
                    step=self.call.purpose,
                    upstream_reply=upstream_reply,
                )
                self.model_calls.append(model_call)
                end_model_span(call_span, model_call, response)
        return response.text

    async def _choose_upstream(self) -> tuple[Upstream, str | None]:
        """An upstream, with the token if the call is a breaker's probe."""
        upstreams, model = self.resources.upstreams, self.call.model
        if not upstreams.for_model(model):
            raise UpstreamUnavailable("No provider of this model is configured.", transient=False)
        choice = upstreams.choose_if_healthy((model,)) or await upstreams.choose((model,))
        if choice.upstream is None:
            raise UpstreamUnavailable(retry_after=choice.retry_after, transient=False)
        return choice.upstream, choice.probe

    def record_rejection(self, error: UpstreamRejected) -> None:
        """Log a rejection, which lasts until the configuration changes, and show it to administrators."""
        provider = error.last_upstream[0] if error.last_upstream is not None else ""
        status, reason = status_and_reason(error)
        for upstream in self.resources.upstreams.for_model(self.call.model):
            if upstream.provider.name == provider:
                upstream.recent_calls.record_error(error)
        log.warning(
            "auxiliary_call.rejected",
            step=self.call.purpose,
            model=self.call.model,
            upstream=provider,
            upstream_status=status,
            reason=reason,
        )


def _rejects_sampling(error: UpstreamRejected) -> bool:
    """Whether the upstream rejected the temperature or the token limit."""
    reply = error.upstream_reply
    return reply is not None and bool(_SAMPLING_PARAMETER.search(f"{reply.param} {reply.reason}"))


async def _collect(stream: AsyncGenerator[ProviderEvent, None], response: ResponseAccumulator) -> None:
    async with aclosing(stream) as events:
        async for event in events:
            response.add(event)
    if response.finish_reason is None:
        raise UpstreamBroken
