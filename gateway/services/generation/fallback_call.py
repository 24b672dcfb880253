"""Calls models with fallbacks for embeddings and images."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from decimal import Decimal
from time import perf_counter
from typing import TypeVar
from uuid import UUID

import structlog

from gateway.agent.routing.failures import failure_to_report
from gateway.agent.routing.upstream import Upstream
from gateway.agent.routing.upstream_pool import UpstreamPool
from gateway.core.exceptions import (
    CircuitOpen,
    GatewayError,
    InvalidRequest,
    Unavailable,
    UpstreamError,
    UpstreamTooLarge,
)
from gateway.core.metrics import registry as metrics
from gateway.domain.money import Usage
from gateway.domain.usage.turn_records import UsageEntry, UsageKind, UsageOwner
from gateway.providers.errors.reason import sanitize_error
from gateway.services.execution.failure_log import log_failure
from gateway.services.execution.turn_tasks import INTERRUPTED
from gateway.services.generation.tracing import call_span, end_call_span
from gateway.services.usage.ledger import Ledger
from gateway.services.usage.metrics import record_usage_metrics

log = structlog.get_logger(__name__)

T = TypeVar("T")


class FallbackCall:
    """One request's model calls along a chain of fallbacks.

    `calls` has one usage record per call; the successful one is last.

    Args:
        requested_model: the model that was asked for, even if it could not be called.
        cancelled_cost: estimates the usage and cost of a call that was cancelled after it was sent, from the
            names of the model and the provider. Most providers charge for it.
        inputs: the request's texts, which are redacted from providers' error messages.
    """

    def __init__(
        self,
        upstreams: UpstreamPool,
        kind: UsageKind,
        requested_model: str,
        cancelled_cost: Callable[[str, str], tuple[Usage, Decimal]],
        inputs: Sequence[str] = (),
    ) -> None:
        self._upstreams = upstreams
        self._inputs = inputs
        self._kind: UsageKind = kind
        self._requested_model = requested_model
        self._cancelled_cost = cancelled_cost
        self.calls: list[UsageEntry] = []
        self._reported_error: GatewayError | None = None

    async def run(
        self,
        models: Sequence[str],
        call: Callable[[str, str], Awaitable[tuple[T, Usage, Decimal]]],
    ) -> T:
        """Return the result of the first of `models` that can be called and succeeds.

        Args:
            call: takes the names of a model and its provider; returns the result, its usage and its cost.

        Raises:
            CircuitOpen: the circuit breakers of all upstreams are open.
            InvalidRequest: the first model rejected the request.
            UpstreamError: the failure that `failure_to_report` selects.
        """
        remaining = list(models)
        failures: list[GatewayError] = []
        while remaining:
            choice = await self._upstreams.choose(remaining)
            if choice.upstream is None:
                break
            try:
                return await self._call_upstream(choice.upstream, choice.probe, call)
            except (UpstreamError, InvalidRequest) as error:
                is_caller_error = isinstance(error, InvalidRequest) and type(error) is not UpstreamTooLarge
                if is_caller_error and not failures:
                    self._reported_error = error
                    raise
                # A request that only the fallback rejects says nothing about the requested model.
                failures.append(error)
                remaining.remove(choice.upstream.model)
        if failures:
            self._reported_error = failure_to_report(failures)
        else:
            self._reported_error = CircuitOpen(retry_after=choice.retry_after)
        raise self._reported_error

    async def _call_upstream(
        self,
        upstream: Upstream,
        probe: str | None,
        call: Callable[[str, str], Awaitable[tuple[T, Usage, Decimal]]],
    ) -> T:
        """Call one upstream and add the usage record."""
        model, provider = upstream.model, upstream.provider.name
        started = perf_counter()
        usage, cost, outcome, upstream_reply = Usage(), Decimal(0), "cancelled", None
        with call_span(self._kind, model, provider) as span:
            try:
                with self._upstreams.track(upstream, probe):
                    answer, usage, cost = await call(model, provider)
                outcome = "ok"
                return answer
            except asyncio.CancelledError:
                usage, cost = self._cancelled_cost(model, provider)
                raise
            except (UpstreamError, InvalidRequest) as error:
                sanitize_error(error, upstream.provider.config, self._inputs)
                error.last_upstream = (provider, model)
                outcome, upstream_reply = error.code, error.upstream_reply
                span.set_error(outcome)
                raise
            finally:
                entry = UsageEntry(
                    self._kind,
                    model,
                    provider,
                    usage=usage,
                    cost_usd=cost,
                    outcome=outcome,
                    latency_ms=round((perf_counter() - started) * 1000),
                    upstream_reply=upstream_reply,
                )
                self.calls.append(entry)
                end_call_span(span, entry)

    @property
    def fallback_from(self) -> str | None:
        """Return the requested model if another one answered, else None."""
        return self._requested_model if self.calls[-1].model != self._requested_model else None

    @property
    def upstream_ms(self) -> float:
        """Return the total duration of all calls in milliseconds."""
        return sum(call.latency_ms for call in self.calls)

    def waive_costs(self) -> None:
        """Charge nothing for a result that the gateway could not deliver."""
        self.calls = [
            replace(call, cost_usd=Decimal(0)) if call.outcome == "ok" else call for call in self.calls
        ]

    async def settle(self, ledger: Ledger, owner: UsageOwner, reservation_id: UUID | None) -> None:
        """Charge the calls, release the reservation and record metrics.

        Raises like `Ledger.settle`.
        """
        for call in self.calls:
            metrics.upstream_requests.labels(call.provider, call.model, call.outcome).inc()
            metrics.upstream_latency.labels(call.provider, call.model).observe(call.latency_ms / 1000)
            if call.usage.prompt_tokens or call.cost_usd:
                record_usage_metrics(call.model, call.usage, call.cost_usd)
            if call.outcome == "ok" and call.model != self._requested_model:
                metrics.fallbacks.labels(self._requested_model, call.model).inc()
        if self._reported_error is not None:
            log_failure("request.failed", self._reported_error, owner.request_id)
        await ledger.settle_calls(owner, self.calls, reservation_id)


def failure_to_gateway_error(error: BaseException) -> GatewayError:
    """Convert the exception that ended a request into an error for its caller.

    A cancellation comes from outside: shutdown, a revoked account or session, or a client disconnect.
    """
    if isinstance(error, GatewayError):
        return error
    if isinstance(error, asyncio.CancelledError):
        if INTERRUPTED in error.args:
            return Unavailable("The gateway is restarting. Send the request again.", retry_after=5)
        return Unavailable("The request was cancelled.")
    log.error("request.crashed", exc_info=error)
    return GatewayError()
