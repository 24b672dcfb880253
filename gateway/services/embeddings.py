"""Vectors for texts: reserved, asked for, charged."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from time import perf_counter

from gateway.agent.recovery.upstreams import Upstreams
from gateway.core.exceptions import ContextLengthExceeded, UnsupportedParameter, UpstreamTimeout
from gateway.domain.budget import Estimate
from gateway.domain.catalog import Catalog
from gateway.domain.embeddings import EmbeddingRequest, Embeddings
from gateway.domain.ledger import UsageOwner
from gateway.domain.principal import Principal
from gateway.domain.tokens import reserved_tokens
from gateway.domain.usage import Usage, estimate_tokens
from gateway.providers.embedding.base import EmbeddingProvider
from gateway.services.asking import Asking, named
from gateway.services.capable import capable_models
from gateway.services.departure import Departure
from gateway.services.ledger import Ledger
from gateway.services.turns import TurnTasks

# Above what texts have in any tokenizer, runs of spaces aside. Longer ones are refused before any counting.
_MOST_CHARACTERS_A_TOKEN = 16


@dataclass(frozen=True, slots=True)
class Embedded:
    """What was made, by whom, at what cost; `fallback_from` is the first model where another made it."""

    result: Embeddings
    model: str
    provider: str
    cost_usd: Decimal
    overhead_ms: float
    fallback_from: str | None = None


class EmbeddingService:
    """Asks the models behind a name in turn; what is not delivered is not charged."""

    def __init__(
        self,
        catalog: Catalog,
        providers: Mapping[str, EmbeddingProvider],
        upstreams: Upstreams,
        ledger: Ledger,
        tasks: TurnTasks,
    ) -> None:
        self._catalog = catalog
        self._providers = providers
        self._upstreams = upstreams
        self._ledger = ledger
        self._tasks = tasks

    async def embed(
        self,
        name: str,
        wanted: EmbeddingRequest,
        principal: Principal,
        request_id: str,
        gone: Callable[[], Awaitable[None]] | None = None,
    ) -> Embedded:
        """A vector for each input of `wanted`, whose model is chosen here; called off once `gone` returns.

        Raises:
            ModelNotFound, ModelNotAllowed, UnsupportedParameter: see `capable_models`.
            ContextLengthExceeded: a text is longer than any of the models can take.
            QuotaExceeded, BudgetExceeded: nothing was asked. CircuitOpen, UpstreamError: nobody answered.
        """
        started = perf_counter()
        slot = await self._tasks.slot(principal)
        try:
            return await self._embed(name, wanted, principal, request_id, gone, started)
        finally:
            slot.release()

    async def _embed(
        self,
        name: str,
        wanted: EmbeddingRequest,
        principal: Principal,
        request_id: str,
        gone: Callable[[], Awaitable[None]] | None,
        started: float,
    ) -> Embedded:
        models = capable_models(self._catalog, name, principal, "embeddings", self._usable)
        models = self._able(models, wanted)
        if wanted.texts:
            models = self._long_enough(models, max(map(len, wanted.texts)))
        given = sum(map(len, wanted.tokens))
        tokens = given or sum(map(estimate_tokens, wanted.texts))
        most = Usage(given or sum(map(reserved_tokens, wanted.texts)))
        dearest = max(self._catalog.price_of(model).cost(most) for model in models)
        reservation = await self._ledger.reserve(principal, Estimate(most.prompt_tokens, dearest))

        def begun(model: str, provider: str) -> tuple[Usage, Decimal]:
            return Usage(tokens), self._catalog.price_of(model).cost(Usage(tokens))

        asking = Asking(self._upstreams, "embedding", self._catalog.models_of(name)[0], begun, wanted.texts)

        async def ask(model: str, provider: str) -> tuple[Embeddings, Usage, Decimal]:
            config = self._catalog.models[model]
            request = replace(wanted, model=config.model, context_window=config.context_window)
            result = await self._asked(self._providers[provider], request)
            usage = Usage(result.prompt_tokens)
            return result, usage, self._catalog.price_of(model).cost(usage)

        running = self._tasks.adopt(owner=principal)
        departure = Departure(running, gone) if gone is not None else None
        try:
            result = await asking.first_answer(models, ask)
        except asyncio.CancelledError as reason:
            running.called_off()
            raise named(reason) from None
        finally:
            if departure is not None:
                departure.close()
            running.begin_settling()
            owner = UsageOwner(principal.user_id, request_id, principal.api_key_id)
            try:
                await asking.settle(self._ledger, owner, reservation)
            finally:
                self._tasks.release(running)
        answered = asking.calls[-1]
        return Embedded(
            result,
            answered.model,
            answered.provider,
            answered.cost_usd,
            max(0.0, (perf_counter() - started) * 1000 - asking.elsewhere_ms),
            fallback_from=asking.fallback_from,
        )

    async def _asked(self, provider: EmbeddingProvider, request: EmbeddingRequest) -> Embeddings:
        limits = provider.timeouts
        try:
            async with asyncio.timeout(limits.mock if provider.type == "mock" else limits.live):
                return await provider.embed(request)
        except TimeoutError as error:
            raise UpstreamTimeout from error

    def _long_enough(self, models: tuple[str, ...], longest: int) -> tuple[str, ...]:
        """The models whose window may hold a text of `longest` characters; the provider counts exactly."""
        windows = {model: self._catalog.models[model].context_window for model in models}
        able = tuple(model for model in models if longest <= windows[model] * _MOST_CHARACTERS_A_TOKEN)
        if not able:
            raise ContextLengthExceeded(
                f"A text is longer than the model's window of {max(windows.values()):,} tokens. Split it.",
                param="input",
            )
        return able

    def _able(self, models: tuple[str, ...], wanted: EmbeddingRequest) -> tuple[str, ...]:
        """The models that can take this kind of input."""
        if not wanted.tokens:
            return models
        able = tuple(
            model
            for model in models
            if all(self._providers[up.provider.name].takes_tokens for up in self._upstreams.of(model))
        )
        if not able:
            raise UnsupportedParameter(
                "This model takes texts, not lists of tokens. "
                "Send texts (LangChain: check_embedding_ctx_length=False).",
                param="input",
            )
        return able

    def _usable(self, model: str) -> bool:
        return bool(self._upstreams.of(model))
