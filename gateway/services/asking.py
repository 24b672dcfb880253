"""Asks the models of a chain in turn, for requests that are no chat: with breakers, metrics, ledger rows."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from decimal import Decimal
from time import perf_counter
from typing import TypeVar

from gateway.agent.upstreams import Upstreams
from gateway.core import metrics
from gateway.core.exceptions import CircuitOpen, GatewayError, UpstreamError
from gateway.domain.ledger import UsageEntry, UsageKind
from gateway.domain.usage import Usage

T = TypeVar("T")


class Asking:
    """One request's way along its models; `calls` has a row for each, the one that answered last."""

    def __init__(self, upstreams: Upstreams, kind: UsageKind) -> None:
        self._upstreams = upstreams
        self._kind: UsageKind = kind
        self.calls: list[UsageEntry] = []

    async def first_answer(
        self,
        models: Sequence[str],
        ask: Callable[[str, str], Awaitable[tuple[T, Usage, Decimal]]],
    ) -> T:
        """What the first of `models` answers that can be asked and does not fail.

        Args:
            ask: given a model and its provider's name; returns the answer, its tokens and its cost.

        Raises:
            CircuitOpen: all of them are left alone. UpstreamError: the last one's failure.
        """
        left = list(models)
        failure: GatewayError | None = None
        while left:
            choice = await self._upstreams.choose(left)
            if choice.upstream is None:
                raise failure or CircuitOpen(retry_after=choice.wait)
            model, provider = choice.upstream.model, choice.upstream.provider.name
            begun = perf_counter()
            usage, cost, outcome = Usage(), Decimal(0), "cancelled"
            try:
                with self._upstreams.calling(choice.upstream, choice.probe):
                    answer, usage, cost = await ask(model, provider)
                outcome = "ok"
                return answer
            except GatewayError as error:
                outcome = error.code
                if not isinstance(error, UpstreamError):
                    raise
                failure = error
                left.remove(model)
            finally:
                ms = round((perf_counter() - begun) * 1000)
                entry = UsageEntry(
                    self._kind, model, provider, usage=usage, cost_usd=cost, outcome=outcome, latency_ms=ms
                )
                self.calls.append(entry)
        raise failure or CircuitOpen()

    @property
    def elsewhere_ms(self) -> float:
        """Milliseconds that the calls took together."""
        return sum(call.latency_ms for call in self.calls)

    def count(self) -> None:
        """Tell the metrics of the calls."""
        for call in self.calls:
            metrics.upstream_requests.labels(call.provider, call.model, call.outcome).inc()
            metrics.upstream_latency.labels(call.provider, call.model).observe(call.latency_ms / 1000)
            if call.usage.prompt_tokens:
                metrics.tokens.labels(call.model, "prompt").inc(call.usage.prompt_tokens)
            if call.cost_usd:
                metrics.cost_usd.labels(call.model).inc(float(call.cost_usd))
