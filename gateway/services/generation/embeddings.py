"""Embeddings: reserve, call a model, settle."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from time import perf_counter

from gateway.core.exceptions import ContextLengthExceeded, UnsupportedParameter
from gateway.domain.embeddings import EmbeddingRequest, Embeddings
from gateway.domain.money import Usage, estimate_tokens
from gateway.domain.requests import RequestScope
from gateway.domain.token_estimates import tokens_to_reserve
from gateway.domain.usage.budgets import Estimate
from gateway.providers.base import EmbeddingProvider
from gateway.services.generation.fallback_call import FallbackCall, failure_to_gateway_error
from gateway.services.generation.metered_call import (
    AdmittedCall,
    CallPlan,
    MeteredCalls,
    provider_timeout,
    watch_disconnect,
)

# More than any tokenizer needs, except for runs of spaces. Longer texts are rejected without counting tokens.
_MAX_CHARACTERS_PER_TOKEN = 16


@dataclass(frozen=True, slots=True)
class EmbeddingResult:
    """The embeddings, and the model call that created them.

    `fallback_from` is the requested model if another one answered.
    """

    embeddings: Embeddings
    model: str
    provider: str
    cost_usd: Decimal
    overhead_ms: float
    fallback_from: str | None = None


class EmbeddingService:
    """Calls the models behind a name in order; undelivered results are not charged."""

    def __init__(self, calls: MeteredCalls, providers: Mapping[str, EmbeddingProvider]) -> None:
        self._calls = calls
        self._catalog = calls.catalog
        self._providers = providers

    async def embed(self, name: str, request: EmbeddingRequest, scope: RequestScope) -> EmbeddingResult:
        """Return one vector per input; a client disconnect cancels the work.

        Raises:
            ModelNotFound, ModelNotAllowed, UnsupportedParameter: see `candidate_models`.
            ContextLengthExceeded: a text is longer than the context window of every candidate.
            QuotaExceeded, BudgetExceeded: the limit is reached; no model was called.
            CircuitOpen, UpstreamError: no model answered.
        """
        started = perf_counter()
        permit = await self._calls.tasks.acquire_permit(scope.principal)
        try:
            admitted = await self._admit(name, request, scope)
            embeddings, fallback_call = await self._run(request, admitted, scope)
        finally:
            permit.release()
        final_call = fallback_call.calls[-1]
        return EmbeddingResult(
            embeddings,
            final_call.model,
            final_call.provider,
            final_call.cost_usd,
            max(0.0, (perf_counter() - started) * 1000 - fallback_call.upstream_ms),
            fallback_from=fallback_call.fallback_from,
        )

    async def _admit(self, name: str, request: EmbeddingRequest, scope: RequestScope) -> AdmittedCall:
        models = self._calls.candidates(name, scope.principal, "embeddings")
        models = self._accepting_input(models, request)
        if request.texts:
            models = self._fitting_window(models, max(map(len, request.texts)))
        token_count = sum(map(len, request.tokens))
        estimated_usage = Usage(token_count or sum(map(estimate_tokens, request.texts)))
        max_usage = Usage(token_count or sum(map(tokens_to_reserve, request.texts)))
        max_cost = max(self._calls.price_of(model).cost(max_usage) for model in models)

        def cancelled_cost(model: str, provider: str) -> tuple[Usage, Decimal]:
            return estimated_usage, self._calls.price_of(model).cost(estimated_usage)

        requested_model = self._catalog.models_of(name)[0]
        plan = CallPlan("embedding", models, requested_model, cancelled_cost, request.texts)
        return await self._calls.admit(plan, scope, Estimate(max_usage.prompt_tokens, max_cost))

    async def _run(
        self, request: EmbeddingRequest, admitted: AdmittedCall, scope: RequestScope
    ) -> tuple[Embeddings, FallbackCall]:
        async def call(model: str, provider: str) -> tuple[Embeddings, Usage, Decimal]:
            config = self._catalog.models[model]
            provider_request = replace(request, model=config.model, context_window=config.context_window)
            async with provider_timeout(self._providers[provider]):
                result = await self._providers[provider].embed(provider_request)
            usage = Usage(result.prompt_tokens)
            return result, usage, self._calls.price_of(model).cost(usage)

        async def deliver(result: Embeddings, _: FallbackCall) -> Embeddings:
            return result

        tasks = self._calls.tasks
        task = tasks.register_current(owner=scope.principal)
        watcher = watch_disconnect(task, scope)
        try:
            return await self._calls.run(task, admitted, call, deliver)
        except asyncio.CancelledError as reason:
            raise failure_to_gateway_error(reason) from None
        finally:
            if watcher is not None:
                watcher.close()
            tasks.release(task)

    def _fitting_window(self, models: tuple[str, ...], longest: int) -> tuple[str, ...]:
        """Return the models whose context window may hold `longest` characters.

        Providers count exactly.
        """
        windows = {model: self._catalog.models[model].context_window for model in models}
        fitting = tuple(model for model in models if longest <= windows[model] * _MAX_CHARACTERS_PER_TOKEN)
        if not fitting:
            raise ContextLengthExceeded(
                f"A text is longer than the model's window of {max(windows.values()):,} tokens. Split it.",
                param="input",
            )
        return fitting

    def _accepting_input(self, models: tuple[str, ...], request: EmbeddingRequest) -> tuple[str, ...]:
        """Return the models that accept this kind of input."""
        if not request.tokens:
            return models
        accepting = tuple(
            model
            for model in models
            if all(
                self._providers[up.provider.name].accepts_tokens
                for up in self._calls.upstreams.for_model(model)
            )
        )
        if not accepting:
            raise UnsupportedParameter(
                "This model takes texts, not lists of tokens. "
                "Send texts (LangChain: check_embedding_ctx_length=False).",
                param="input",
            )
        return accepting
