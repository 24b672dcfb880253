"""Embeddings: reserve, call a model, settle."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from time import perf_counter

from gateway.agent.routing.upstream_pool import UpstreamPool
from gateway.core.exceptions import ContextLengthExceeded, UnsupportedParameter, UpstreamTimeout
from gateway.domain.accounts.principal import Principal
from gateway.domain.config.catalog import Catalog
from gateway.domain.embeddings import EmbeddingRequest, Embeddings
from gateway.domain.money import Usage, estimate_tokens
from gateway.domain.token_estimates import tokens_to_reserve
from gateway.domain.usage.budgets import Estimate
from gateway.domain.usage.turn_records import UsageOwner
from gateway.providers.base import EmbeddingProvider
from gateway.services.execution.disconnect import DisconnectWatcher
from gateway.services.execution.turn_tasks import TurnTaskRegistry
from gateway.services.generation.candidates import candidate_models
from gateway.services.generation.fallback_call import FallbackCall, as_gateway_error
from gateway.services.usage.ledger import Ledger

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
    """Calls the models behind a name in order.

    Results that are not delivered are not charged.
    """

    def __init__(
        self,
        catalog: Catalog,
        providers: Mapping[str, EmbeddingProvider],
        upstreams: UpstreamPool,
        ledger: Ledger,
        tasks: TurnTaskRegistry,
    ) -> None:
        self._catalog = catalog
        self._providers = providers
        self._upstreams = upstreams
        self._ledger = ledger
        self._tasks = tasks

    async def embed(
        self,
        name: str,
        request: EmbeddingRequest,
        principal: Principal,
        request_id: str,
        disconnected: Callable[[], Awaitable[None]] | None = None,
    ) -> EmbeddingResult:
        """Return one vector per input; the work is cancelled once `disconnected` returns.

        Raises:
            ModelNotFound, ModelNotAllowed, UnsupportedParameter: see `candidate_models`.
            ContextLengthExceeded: a text is longer than the context window of every candidate.
            QuotaExceeded, BudgetExceeded: the limit is reached; no model was called.
            CircuitOpen, UpstreamError: no model answered.
        """
        started = perf_counter()
        permit = await self._tasks.acquire_permit(principal)
        try:
            return await self._admit_and_run(name, request, principal, request_id, disconnected, started)
        finally:
            permit.release()

    async def _admit_and_run(
        self,
        name: str,
        request: EmbeddingRequest,
        principal: Principal,
        request_id: str,
        disconnected: Callable[[], Awaitable[None]] | None,
        started: float,
    ) -> EmbeddingResult:
        models = candidate_models(self._catalog, name, principal, "embeddings", self._is_usable)
        models = self._accepting_input(models, request)
        if request.texts:
            models = self._fitting_window(models, max(map(len, request.texts)))
        token_count = sum(map(len, request.tokens))
        estimated_tokens = token_count or sum(map(estimate_tokens, request.texts))
        max_usage = Usage(token_count or sum(map(tokens_to_reserve, request.texts)))
        max_cost = max(self._catalog.price_of(model).cost(max_usage) for model in models)
        reservation_id = await self._ledger.reserve(principal, Estimate(max_usage.prompt_tokens, max_cost))

        def begun(model: str, provider: str) -> tuple[Usage, Decimal]:
            return Usage(estimated_tokens), self._catalog.price_of(model).cost(Usage(estimated_tokens))

        fallback_call = FallbackCall(
            self._upstreams, "embedding", self._catalog.models_of(name)[0], begun, request.texts
        )

        async def ask(model: str, provider: str) -> tuple[Embeddings, Usage, Decimal]:
            config = self._catalog.models[model]
            provider_request = replace(request, model=config.model, context_window=config.context_window)
            result = await self._call_provider(self._providers[provider], provider_request)
            usage = Usage(result.prompt_tokens)
            return result, usage, self._catalog.price_of(model).cost(usage)

        task = self._tasks.register_current(owner=principal)
        watcher = DisconnectWatcher(task, disconnected) if disconnected is not None else None
        try:
            result = await fallback_call.run(models, ask)
        except asyncio.CancelledError as reason:
            task.acknowledge_cancel()
            raise as_gateway_error(reason) from None
        finally:
            if watcher is not None:
                watcher.close()
            task.block_cancellation()
            owner = UsageOwner(principal.user_id, request_id, principal.api_key_id)
            try:
                await fallback_call.settle(self._ledger, owner, reservation_id)
            finally:
                self._tasks.release(task)
        final_call = fallback_call.calls[-1]
        return EmbeddingResult(
            result,
            final_call.model,
            final_call.provider,
            final_call.cost_usd,
            max(0.0, (perf_counter() - started) * 1000 - fallback_call.upstream_ms),
            fallback_from=fallback_call.fallback_from,
        )

    async def _call_provider(self, provider: EmbeddingProvider, request: EmbeddingRequest) -> Embeddings:
        timeouts = provider.timeouts
        try:
            async with asyncio.timeout(timeouts.mock if provider.type == "mock" else timeouts.live):
                return await provider.embed(request)
        except TimeoutError as error:
            raise UpstreamTimeout from error

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
                self._providers[up.provider.name].accepts_tokens for up in self._upstreams.for_model(model)
            )
        )
        if not accepting:
            raise UnsupportedParameter(
                "This model takes texts, not lists of tokens. "
                "Send texts (LangChain: check_embedding_ctx_length=False).",
                param="input",
            )
        return accepting

    def _is_usable(self, model: str) -> bool:
        return bool(self._upstreams.for_model(model))
