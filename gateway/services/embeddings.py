"""Vectors for texts: reserved, asked for, charged."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from time import perf_counter

from gateway.agent.upstreams import Upstreams
from gateway.core import metrics
from gateway.core.exceptions import CircuitOpen, GatewayError, UpstreamError
from gateway.domain.budget import Estimate
from gateway.domain.catalog import Catalog
from gateway.domain.embeddings import EmbeddingRequest, Embeddings
from gateway.domain.ledger import UsageEntry, UsageOwner
from gateway.domain.principal import Principal
from gateway.domain.usage import Usage, estimate_tokens
from gateway.providers.embedding.base import EmbeddingProvider
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
        calls: list[UsageEntry] = []
        try:
            result = await self._ask(list(models), EmbeddingRequest("", texts, dimensions), calls)
        finally:
            _count(calls)
            owner = UsageOwner(principal.user_id, request_id, principal.api_key_id)
            await self._ledger.settle(owner, calls, reservation)
        answered = calls[-1]
        elsewhere = sum(call.latency_ms for call in calls)
        return Embedded(
            result,
            answered.model,
            answered.provider,
            answered.cost_usd,
            max(0.0, (perf_counter() - started) * 1000 - elsewhere),
            fallback_from=models[0] if answered.model != models[0] else None,
        )

    async def _ask(self, models: list[str], request: EmbeddingRequest, calls: list[UsageEntry]) -> Embeddings:
        """The first answer of `models`; each call is added to `calls`, the one that answered last."""
        failure: GatewayError = CircuitOpen()
        while models:
            choice = await self._upstreams.choose(models)
            if choice.upstream is None:
                raise failure if calls else CircuitOpen(retry_after=choice.wait)
            model, provider = choice.upstream.model, choice.upstream.provider.name
            begun = perf_counter()
            usage, outcome = Usage(), "cancelled"
            try:
                with self._upstreams.calling(choice.upstream, choice.probe):
                    vendors_name = self._catalog.models[model].model
                    result = await self._providers[provider].embed(replace(request, model=vendors_name))
                usage, outcome = Usage(result.prompt_tokens), "ok"
                return result
            except GatewayError as error:
                outcome = error.code
                if not isinstance(error, UpstreamError):
                    raise
                failure = error
                models.remove(model)
            finally:
                calls.append(self._entry(model, provider, usage, outcome, begun))
        raise failure

    def _usable(self, model: str) -> bool:
        return any(
            name in self._providers and self._providers[name].configured
            for name in self._catalog.models[model].providers
        )

    def _entry(self, model: str, provider: str, usage: Usage, outcome: str, begun: float) -> UsageEntry:
        return UsageEntry(
            kind="embedding",
            model=model,
            provider=provider,
            usage=usage,
            cost_usd=self._catalog.price_of(model).cost(usage),
            outcome=outcome,
            latency_ms=round((perf_counter() - begun) * 1000),
        )


def _count(calls: list[UsageEntry]) -> None:
    for call in calls:
        metrics.upstream_requests.labels(call.provider, call.model, call.outcome).inc()
        metrics.upstream_latency.labels(call.provider, call.model).observe(call.latency_ms / 1000)
        if call.usage.prompt_tokens:
            metrics.tokens.labels(call.model, "prompt").inc(call.usage.prompt_tokens)
            metrics.cost_usd.labels(call.model).inc(float(call.cost_usd))
