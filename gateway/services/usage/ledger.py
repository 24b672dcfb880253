"""Ledger: reserves the possible cost of turns and settles their actual cost."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any, TypeVar
from uuid import UUID

import structlog

from gateway.agent.budget.turn_budget import ReservedAmount, TurnBudget
from gateway.core.exceptions import (
    GatewayError,
)
from gateway.domain.accounts.principal import Principal
from gateway.domain.config.catalog import Catalog
from gateway.domain.config.limits import Tier
from gateway.domain.usage.budgets import (
    LEASE_SECONDS,
    BudgetState,
    Estimate,
    Reservation,
)
from gateway.domain.usage.turn_records import (
    CloseResult,
    ConversationLease,
    ExistingQuestion,
    FinishedTurn,
    NewTurn,
    OpenedTurn,
    UsageEntry,
    UsageOwner,
)
from gateway.repositories.turns.repository import TurnRepository
from gateway.services.usage.deferred_settlements import DeferredSettlements, log_failed_settlement, with_retry
from gateway.services.usage.reservations import reserve_or_shrink, token_window

log = structlog.get_logger(__name__)

T = TypeVar("T")


class Ledger:
    """Reserves and settles usage within statements that a turn executes anyway.

    A reservation is a lease that `renew_leases` extends while its turn runs in this worker. If the worker
    dies, the maintenance job of another worker releases it.
    """

    def __init__(
        self, turns: TurnRepository, catalog: Catalog, *, lease_seconds: float = LEASE_SECONDS
    ) -> None:
        self._turns = turns
        self._catalog = catalog
        self._lease_seconds = lease_seconds
        self._leases: dict[UUID, ConversationLease | None] = {}
        self._granted_amounts: dict[UUID, ReservedAmount] = {}
        self._bills: dict[UUID, tuple[UUID, Callable[[], dict[str, Any]]]] = {}
        self._bill_lock = asyncio.Lock()
        self._deferred = DeferredSettlements(self._release_lease)

    @property
    def open_reservations(self) -> int:
        """Return how many reservations this worker holds."""
        return len(self._leases)

    def reconfigure(self, catalog: Catalog) -> None:
        """Apply the tiers of a new configuration to later reservations."""
        self._catalog = catalog

    async def reserve(
        self, principal: Principal, estimate: Estimate, *, stores_data: bool = False
    ) -> UUID | None:
        """Reserve `estimate` from the account's budgets; `settle` takes the returned id.

        Args:
            stores_data: the request stores data, so an account without free storage is refused.

        Returns:
            None if the account has no limits; its usage is charged nevertheless.

        Raises:
            QuotaExceeded, BudgetExceeded: not enough is left; nothing was written.
        """
        reservation = self._build_reservation(principal, estimate, stores_data=stores_data)
        limits = (reservation.tokens_per_day, reservation.usd_per_month, reservation.storage_limit)
        if limits == (None, None, None):
            return None
        state = await reserve_or_shrink(principal, reservation, self._turns.reserve)
        self._record_grant(principal, reservation, state, None)
        return reservation.id

    def turn_budget(self, principal: Principal, reservation_id: UUID | None) -> TurnBudget | None:
        """Return the extendable budget of the reservation's turn.

        None if it is not limited.
        """
        granted = self._granted_amounts.get(reservation_id) if reservation_id is not None else None
        if granted is None or reservation_id is None:
            return None
        return TurnBudget(granted, lambda more: self._extend(principal, reservation_id, more))

    async def _extend(self, principal: Principal, reservation_id: UUID, more: Estimate) -> ReservedAmount:
        """Raise QuotaExceeded or BudgetExceeded if not enough is left."""
        reservation = replace(self._build_reservation(principal, more), id=reservation_id)
        state = await reserve_or_shrink(principal, reservation, self._turns.extend_reservation)
        return ReservedAmount(state.granted_tokens, state.granted_usd)

    async def get_question(self, principal: Principal, message_id: UUID) -> ExistingQuestion:
        """Return the question to regenerate; see `TurnRepository.get_question`."""
        return await self._turns.get_question(principal.user_id, message_id)

    async def open_turn(self, principal: Principal, turn: NewTurn, estimate: Estimate) -> OpenedTurn:
        """Open a persisted turn together with its reservation, whose id is the answer's.

        Raises:
            NotFound, TurnInProgress: see `TurnRepository.open_turn`.
            QuotaExceeded, BudgetExceeded: see `reserve`.
        """
        reservation = replace(
            self._build_reservation(principal, estimate, stores_data=True), id=turn.answer_id
        )
        opened = await reserve_or_shrink(
            principal,
            reservation,
            lambda fitted: self._turns.open_turn(
                replace(turn, reservation=fitted, lease_seconds=self._lease_seconds)
            ),
        )
        lease = ConversationLease(opened.conversation_id, opened.lock_token)
        self._record_grant(principal, reservation, opened.budget, lease)
        return opened

    async def settle_calls(
        self, owner: UsageOwner, calls: Sequence[UsageEntry], reservation_id: UUID | None
    ) -> None:
        """Charge the calls of an unpersisted request and release its reservation; idempotent.

        Raises:
            Unavailable: the database cannot be reached. The settlement is logged and retried later.
        """
        await self._write(
            lambda: self._turns.record_usage(owner, calls, reservation_id), owner, calls, reservation_id
        )

    async def settle_turn(self, turn: FinishedTurn) -> CloseResult:
        """Close a persisted turn: store its answer and settle.

        Not applied if its lease was taken over.
        """
        return await self._write(
            lambda: self._turns.close_turn(turn), turn.owner, turn.calls, turn.message_id
        )

    def attach_bill(self, turn_id: UUID, user_id: UUID, build_bill: Callable[[], dict[str, Any]]) -> None:
        """Store the turn's running cost with its reservation until `detach_bill`.

        See `renew_leases`.
        """
        self._bills[turn_id] = (user_id, build_bill)

    async def detach_bill(self, turn_id: UUID) -> None:
        """Stop storing the running cost of a turn that is about to be settled."""
        async with self._bill_lock:
            self._bills.pop(turn_id, None)

    async def renew_leases(self) -> list[UUID]:
        """Renew the leases and bills of local turns, and retry deferred settlements.

        Returns:
            The answer ids of local turns that lost their conversation lease.

        Raises:
            Unavailable: the database is still unreachable.
        """
        lost_turns = await self._turns.renew_leases(self._leases, self._lease_seconds) if self._leases else []
        async with self._bill_lock:
            if self._bills:
                bills = {turn_id: (user_id, bill()) for turn_id, (user_id, bill) in self._bills.items()}
                await self._turns.save_bills(bills, self._lease_seconds)
        await self._deferred.retry()
        return lost_turns

    def _build_reservation(
        self, principal: Principal, estimate: Estimate, *, stores_data: bool = False
    ) -> Reservation:
        tier: Tier = self._catalog.tier_of(principal.tier)
        return Reservation(
            principal.user_id,
            estimate.tokens,
            estimate.usd,
            tier.tokens_per_day,
            tier.usd_per_month,
            lease_seconds=self._lease_seconds,
            spare_tokens=0 if tier.tokens_per_day is None else estimate.spare_tokens,
            spare_usd=Decimal(0) if tier.usd_per_month is None else estimate.spare_usd,
            history_tokens=estimate.history_tokens,
            history_price=estimate.history_price,
            storage_limit=tier.storage_bytes if stores_data else None,
            bill=estimate.bill,
        )

    def _record_grant(
        self,
        principal: Principal,
        reservation: Reservation,
        state: BudgetState,
        lease: ConversationLease | None,
    ) -> None:
        self._leases[reservation.id] = lease
        limited_tokens, limited_usd = (
            reservation.tokens_per_day is not None,
            reservation.usd_per_month is not None,
        )
        if limited_tokens or limited_usd:
            self._granted_amounts[reservation.id] = ReservedAmount(
                state.granted_tokens if limited_tokens else None, state.granted_usd if limited_usd else None
            )
        principal.limits.tokens = token_window(reservation, state)

    async def _write(
        self,
        write: Callable[[], Awaitable[T]],
        owner: UsageOwner,
        calls: Sequence[UsageEntry],
        reservation_id: UUID | None,
    ) -> T:
        try:
            result = await with_retry(write)
        except Exception as error:
            if isinstance(error, GatewayError):
                # The lease is renewed until then, so that no other worker closes the turn.
                self._deferred.add(write, reservation_id)
            else:
                self._release_lease(reservation_id)
            log_failed_settlement(owner, calls)
            raise
        self._release_lease(reservation_id)
        return result

    def _release_lease(self, reservation_id: UUID | None) -> None:
        if reservation_id is not None:
            self._leases.pop(reservation_id, None)
            self._granted_amounts.pop(reservation_id, None)
