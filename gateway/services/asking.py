"""Asks the models of a chain in turn, for requests that are no chat: with breakers, metrics, ledger rows."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from decimal import Decimal
from time import perf_counter
from typing import TypeVar
from uuid import UUID

import structlog

from gateway.agent.recovery.outcome import reported
from gateway.agent.recovery.upstreams import Upstreams
from gateway.core import metrics
from gateway.core.exceptions import (
    CircuitOpen,
    GatewayError,
    InvalidRequest,
    Unavailable,
    UpstreamError,
    UpstreamTooLarge,
)
from gateway.domain.ledger import UsageEntry, UsageKind, UsageOwner
from gateway.domain.usage import Usage
from gateway.providers.chat.reasons import explain
from gateway.services.failures import log_failure
from gateway.services.ledger import Ledger
from gateway.services.receipts import count_usage
from gateway.services.spans import call_span, end_call_span
from gateway.services.turns import INTERRUPTED

log = structlog.get_logger(__name__)

T = TypeVar("T")


class Asking:
    """One request's way along its models; `calls` has a row for each, the one that answered last.

    `first` is the model that was asked for, whether or not it could be asked. `begun` estimates what a call
    of a model costs that was cancelled after it was sent, by model and provider: most charge for it. `inputs`
    are the request's texts, which are left out of the providers' words.
    """

    def __init__(
        self,
        upstreams: Upstreams,
        kind: UsageKind,
        first: str,
        begun: Callable[[str, str], tuple[Usage, Decimal]],
        inputs: Sequence[str] = (),
    ) -> None:
        self._upstreams = upstreams
        self._inputs = inputs
        self._kind: UsageKind = kind
        self._first = first
        self._begun = begun
        self.calls: list[UsageEntry] = []
        self._failure: GatewayError | None = None

    async def first_answer(
        self,
        models: Sequence[str],
        ask: Callable[[str, str], Awaitable[tuple[T, Usage, Decimal]]],
    ) -> T:
        """What the first of `models` answers that can be asked and does not fail.

        Args:
            ask: given a model and its provider's name; returns the answer, its tokens and its cost.

        Raises:
            CircuitOpen: all of them are left alone. InvalidRequest: the first one's word on the request.
            UpstreamError: the failure that `reported` chooses.
        """
        left = list(models)
        failures: list[GatewayError] = []
        while left:
            choice = await self._upstreams.choose(left)
            if choice.upstream is None:
                break
            model, provider = choice.upstream.model, choice.upstream.provider.name
            begun = perf_counter()
            usage, cost, outcome, refusal = Usage(), Decimal(0), "cancelled", None
            with call_span(self._kind, model, provider) as it:
                try:
                    with self._upstreams.calling(choice.upstream, choice.probe):
                        answer, usage, cost = await ask(model, provider)
                    outcome = "ok"
                    return answer
                except asyncio.CancelledError:
                    usage, cost = self._begun(model, provider)
                    raise
                except (UpstreamError, InvalidRequest) as error:
                    explain(error, choice.upstream.provider.config, self._inputs)
                    error.asked = (provider, model)
                    outcome, refusal = error.code, error.upstream
                    it.fail(outcome)
                    of_the_caller = isinstance(error, InvalidRequest) and type(error) is not UpstreamTooLarge
                    if of_the_caller and not failures:
                        self._failure = error
                        raise
                    # What a fallback cannot do says nothing about the model that was asked for.
                    failures.append(error)
                    left.remove(model)
                finally:
                    ms = round((perf_counter() - begun) * 1000)
                    entry = UsageEntry(
                        self._kind,
                        model,
                        provider,
                        usage=usage,
                        cost_usd=cost,
                        outcome=outcome,
                        latency_ms=ms,
                        upstream=refusal,
                    )
                    self.calls.append(entry)
                    end_call_span(it, entry)
        self._failure = reported(failures) if failures else CircuitOpen(retry_after=choice.wait)
        raise self._failure

    @property
    def fallback_from(self) -> str | None:
        """The model that was asked for, where another one answered."""
        return self._first if self.calls[-1].model != self._first else None

    @property
    def elsewhere_ms(self) -> float:
        """Milliseconds that the calls took together."""
        return sum(call.latency_ms for call in self.calls)

    def forgive(self) -> None:
        """Charge nothing for an answer that the gateway itself could not deliver."""
        self.calls = [
            replace(call, cost_usd=Decimal(0)) if call.outcome == "ok" else call for call in self.calls
        ]

    async def settle(self, ledger: Ledger, owner: UsageOwner, reservation: UUID | None) -> None:
        """Charge the calls, give the reservation back, tell the metrics; raises as `Ledger.settle`."""
        for call in self.calls:
            metrics.upstream_requests.labels(call.provider, call.model, call.outcome).inc()
            metrics.upstream_latency.labels(call.provider, call.model).observe(call.latency_ms / 1000)
            if call.usage.prompt_tokens or call.cost_usd:
                count_usage(call.model, call.usage, call.cost_usd)
            if call.outcome == "ok" and call.model != self._first:
                metrics.fallback_used.labels(self._first, call.model).inc()
        if self._failure is not None:
            log_failure("request.failed", self._failure, owner.request_id)
        await ledger.settle(owner, self.calls, reservation)


def named(error: BaseException) -> GatewayError:
    """Whatever ended a request's work, as an error for who waits for it.

    A cancellation comes from outside: the gateway stops, the account ended, the client left.
    """
    if isinstance(error, GatewayError):
        return error
    if isinstance(error, asyncio.CancelledError):
        if INTERRUPTED in error.args:
            return Unavailable("The gateway is restarting; ask again.", retry_after=5)
        return Unavailable("The request was called off.")
    log.error("request_crashed", exc_info=error)
    return GatewayError()
