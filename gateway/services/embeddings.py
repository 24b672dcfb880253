"""Vectors for texts: reserved, asked for, charged."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from time import perf_counter

from gateway.agent.upstreams import Upstreams
from gateway.domain.budget import Estimate
from gateway.domain.catalog import Catalog
from gateway.domain.embeddings import EmbeddingRequest, Embeddings
from gateway.domain.ledger import UsageOwner
from gateway.domain.principal import Principal
from gateway.domain.usage import Usage, estimate_tokens
from gateway.providers.embedding.base import EmbeddingProvider
from gateway.services.asking import Asking
from gateway.services.capable import capable_models
from gateway.services.ledger import Ledger


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
    ) -> None:
        self._catalog = catalog
        self._providers = providers
        self._upstreams = upstreams
        self._ledger = ledger

    async def embed(
        self, name: str, texts: tuple[str, ...], dimensions: int | None, principal: Principal, request_id: str
    ) -> Embedded:
        """A vector for each of `texts`.

        Raises:
            ModelNotFound, ModelNotAllowed, UnsupportedParameter: see `capable_models`.
            QuotaExceeded, BudgetExceeded: nothing was asked. CircuitOpen, UpstreamError: nobody answered.
        """
        started = perf_counter()
        models = capable_models(self._catalog, name, principal, "embeddings", self._usable)
        tokens = sum(map(estimate_tokens, texts))
        dearest = max(self._catalog.price_of(model).cost(Usage(tokens)) for model in models)
        reservation = await self._ledger.reserve(principal, Estimate(tokens, dearest))
        asking = Asking(self._upstreams, "embedding")

        async def ask(model: str, provider: str) -> tuple[Embeddings, Usage, Decimal]:
            request = EmbeddingRequest(self._catalog.models[model].model, texts, dimensions)
            result = await self._providers[provider].embed(request)
            usage = Usage(result.prompt_tokens)
            return result, usage, self._catalog.price_of(model).cost(usage)

        try:
            result = await asking.first_answer(models, ask)
        finally:
            asking.count()
            owner = UsageOwner(principal.user_id, request_id, principal.api_key_id)
            await self._ledger.settle(owner, asking.calls, reservation)
        answered = asking.calls[-1]
        return Embedded(
            result,
            answered.model,
            answered.provider,
            answered.cost_usd,
            max(0.0, (perf_counter() - started) * 1000 - asking.elsewhere_ms),
            fallback_from=models[0] if answered.model != models[0] else None,
        )

    def _usable(self, model: str) -> bool:
        return any(
            name in self._providers and self._providers[name].configured
            for name in self._catalog.models[model].providers
        )
