"""What embeddings and images share: select models, reserve, call with fallbacks, deliver, settle."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from decimal import Decimal
from typing import TypeVar
from uuid import UUID

from gateway.agent.routing.upstream_pool import UpstreamPool
from gateway.core.exceptions import UpstreamTimeout
from gateway.domain.accounts.principal import Principal
from gateway.domain.config.catalog import Catalog
from gateway.domain.config.models import Capability
from gateway.domain.money import Price, Usage
from gateway.domain.requests import RequestScope
from gateway.domain.usage.budgets import Estimate
from gateway.domain.usage.turn_records import UsageKind, UsageOwner
from gateway.providers.base import EmbeddingProvider, ImageProvider
from gateway.services.execution.disconnect import DisconnectWatcher
from gateway.services.execution.turn_tasks import TurnTask, TurnTaskRegistry
from gateway.services.generation.candidates import candidate_models
from gateway.services.generation.fallback_call import FallbackCall
from gateway.services.usage.ledger import Ledger

T = TypeVar("T")
D = TypeVar("D")

CallProvider = Callable[[str, str], Awaitable[tuple[T, Usage, Decimal]]]


@dataclass(frozen=True, slots=True)
class CallPlan:
    """What a request will call, before it is admitted; see `FallbackCall` for the last two fields."""

    kind: UsageKind
    models: tuple[str, ...]
    requested_model: str
    cancelled_cost: Callable[[str, str], tuple[Usage, Decimal]]
    inputs: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class AdmittedCall:
    """An admitted request: its plan, who is charged, and its reservation."""

    plan: CallPlan
    owner: UsageOwner
    reservation_id: UUID | None


class MeteredCalls:
    """Runs admitted requests; a result that cannot be delivered is not charged."""

    def __init__(
        self, catalog: Catalog, upstreams: UpstreamPool, ledger: Ledger, tasks: TurnTaskRegistry
    ) -> None:
        self.catalog = catalog
        self.upstreams = upstreams
        self.tasks = tasks
        self._ledger = ledger

    def candidates(self, name: str, principal: Principal, capability: Capability) -> tuple[str, ...]:
        """Return the models that may serve the request; see `candidate_models`."""
        return candidate_models(self.catalog, name, principal, capability, self.is_usable)

    def is_usable(self, model: str) -> bool:
        """Return whether a provider of the model is configured."""
        return bool(self.upstreams.for_model(model))

    def price_of(self, model: str) -> Price:
        """Return what the model is charged at."""
        return self.catalog.price_of(model)

    async def admit(
        self, plan: CallPlan, scope: RequestScope, estimate: Estimate, *, stores_data: bool = False
    ) -> AdmittedCall:
        """Reserve `estimate`. Raises QuotaExceeded or BudgetExceeded like `Ledger.reserve`."""
        principal = scope.principal
        owner = UsageOwner(principal.user_id, scope.request_id, principal.api_key_id)
        reservation_id = await self._ledger.reserve(principal, estimate, stores_data=stores_data)
        return AdmittedCall(plan, owner, reservation_id)

    async def run(
        self,
        task: TurnTask,
        admitted: AdmittedCall,
        call: CallProvider[T],
        deliver: Callable[[T, FallbackCall], Awaitable[D]],
    ) -> tuple[D, FallbackCall]:
        """Call a model and deliver its result; every exit settles the reservation.

        Args:
            call: takes the names of a model and its provider; see `FallbackCall.run`.
            deliver: stores or returns the result; it cannot be cancelled.
        """
        plan = admitted.plan
        fallback_call = FallbackCall(
            self.upstreams, plan.kind, plan.requested_model, plan.cancelled_cost, plan.inputs
        )
        try:
            result = await fallback_call.run(plan.models, call)
            task.block_cancellation()
            delivered = await deliver(result, fallback_call)
        except BaseException:
            fallback_call.waive_costs()
            raise
        finally:
            task.acknowledge_cancel()
            task.block_cancellation()
            await fallback_call.settle(self._ledger, admitted.owner, admitted.reservation_id)
        return delivered, fallback_call


def watch_disconnect(task: TurnTask, scope: RequestScope) -> DisconnectWatcher | None:
    """Cancel the task when the client disconnects; the watcher must be closed at its end."""
    return DisconnectWatcher(task, scope.disconnected) if scope.disconnected is not None else None


@asynccontextmanager
async def provider_timeout(provider: EmbeddingProvider | ImageProvider) -> AsyncIterator[None]:
    """Limit a call to the provider's configured time. Raises UpstreamTimeout."""
    timeouts = provider.timeouts
    try:
        async with asyncio.timeout(timeouts.mock if provider.type == "mock" else timeouts.live):
            yield
    except TimeoutError as error:
        raise UpstreamTimeout from error
