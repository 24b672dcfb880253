"""The one ledger: what a turn may cost is reserved before it, what it did cost is settled after it."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any, NamedTuple, TypeVar
from uuid import UUID

import structlog

from gateway.agent.turn_budget import Granted, TurnBudget
from gateway.core import metrics
from gateway.core.exceptions import (
    BudgetExceeded,
    GatewayError,
    QuotaExceeded,
    RateLimited,
    StorageFull,
    Unavailable,
)
from gateway.domain.budget import (
    LEASE_SECONDS,
    BudgetState,
    Estimate,
    OverBudget,
    Reservation,
    Window,
    seconds_left_this_month,
    seconds_left_today,
)
from gateway.domain.catalog import Catalog, Tier
from gateway.domain.ledger import (
    AskedQuestion,
    Finished,
    FinishedTurn,
    Held,
    NewTurn,
    OpenedTurn,
    UsageEntry,
    UsageOwner,
)
from gateway.domain.principal import Principal
from gateway.repositories.turn import TurnRepository

log = structlog.get_logger(__name__)

T = TypeVar("T")

# Pauses before the next try where the database does not take a settlement, in seconds: as long as its restart
# takes, so that an answer that is there already ends well.
_PAUSES = (0.05, 0.25, 0.7, 1.0, 1.0, 1.0)
# Settlements that wait for the database to come back; more than that are only in the log.
_MOST_OWED = 10_000


class _Owed(NamedTuple):
    """A settlement that waits for the database, and the lease that goes with it."""

    write: Callable[[], Awaitable[object]]
    reservation_id: UUID | None


class Ledger:
    """Reserves and settles, each as part of a statement that a turn needs anyway.

    A reservation is a lease that `keep` renews while its turn runs here; where this process dies, another
    one's housekeeping gives it back.
    """

    def __init__(
        self, turns: TurnRepository, catalog: Catalog, *, lease_seconds: float = LEASE_SECONDS
    ) -> None:
        self._turns = turns
        self._catalog = catalog
        self._lease_seconds = lease_seconds
        self._open: dict[UUID, Held | None] = {}
        self._amounts: dict[UUID, Granted] = {}
        self._bills: dict[UUID, tuple[UUID, Callable[[], dict[str, Any]]]] = {}
        self._noting = asyncio.Lock()
        self._owed: deque[_Owed] = deque()

    def adopt(self, catalog: Catalog) -> None:
        """Reserve by the tiers of this configuration from now on."""
        self._catalog = catalog

    async def reserve(self, principal: Principal, estimate: Estimate, *, stores: bool = False) -> UUID | None:
        """Hold `estimate` against the account's budgets until `settle` is given the id returned.

        None where the account has no limit: there is nothing to hold, and what is used is charged all the
        same.

        Args:
            stores: the request stores something; an account whose storage is full is refused.

        Raises:
            QuotaExceeded, BudgetExceeded: it is more than is left; nothing was written.
        """
        reservation = self._reservation(principal, estimate, stores=stores)
        limits = (reservation.tokens_per_day, reservation.usd_per_month, reservation.most_stored)
        if limits == (None, None, None):
            return None
        state = await _fitting(principal, reservation, self._turns.reserve)
        self._granted(principal, reservation, state, None)
        return reservation.id

    def turn_budget(self, principal: Principal, reservation_id: UUID | None) -> TurnBudget | None:
        """What the turn of this reservation may spend, with more to be had; None where nothing limits it."""
        granted = self._amounts.get(reservation_id) if reservation_id is not None else None
        if granted is None or reservation_id is None:
            return None
        return TurnBudget(granted, lambda more: self._extend(principal, reservation_id, more))

    async def _extend(self, principal: Principal, reservation_id: UUID, more: Estimate) -> Granted:
        """Raises QuotaExceeded, BudgetExceeded: there is not as much left."""
        reservation = replace(self._reservation(principal, more), id=reservation_id)
        state = await _fitting(principal, reservation, self._turns.extend)
        return Granted(state.granted_tokens, state.granted_usd)

    async def asked(self, principal: Principal, message_id: UUID) -> AskedQuestion:
        """The question that is to be answered once more, as `TurnRepository.asked`."""
        return await self._turns.asked(principal.user_id, message_id)

    async def begin(self, principal: Principal, turn: NewTurn, estimate: Estimate) -> OpenedTurn:
        """Open a persisted turn together with its reservation, whose id is the answer's.

        Raises:
            NotFound, TurnInProgress: as `TurnRepository.begin_turn`. QuotaExceeded, BudgetExceeded: as above.
        """
        reservation = replace(self._reservation(principal, estimate, stores=True), id=turn.answer_id)
        opened = await _fitting(
            principal,
            reservation,
            lambda fitted: self._turns.begin_turn(
                replace(turn, reservation=fitted, lease_seconds=self._lease_seconds)
            ),
        )
        held = Held(opened.conversation_id, opened.lock_token)
        self._granted(principal, reservation, opened.budget, held)
        return opened

    async def settle(
        self, owner: UsageOwner, calls: Sequence[UsageEntry], reservation_id: UUID | None
    ) -> None:
        """Charge the calls of what no conversation keeps, and give its reservation back; safe to repeat.

        Raises:
            Unavailable: the database cannot be reached. The settlement is in the log and will be tried again.
        """
        await self._write(
            lambda: self._turns.record_usage(owner, calls, reservation_id), owner, calls, reservation_id
        )

    async def finish(self, turn: FinishedTurn) -> Finished:
        """The same for a persisted turn, with its answer; which does not stand where it was taken over."""
        return await self._write(
            lambda: self._turns.finish_turn(turn), turn.owner, turn.calls, turn.message_id
        )

    def watch(self, turn_id: UUID, user_id: UUID, bill: Callable[[], dict[str, Any]]) -> None:
        """Keep what a turn has cost so far with its reservation, until `unwatch`; see `keep`."""
        self._bills[turn_id] = (user_id, bill)

    async def unwatch(self, turn_id: UUID) -> None:
        """The turn is about to be settled; no bill of it is written any more."""
        async with self._noting:
            self._bills.pop(turn_id, None)

    async def keep(self) -> list[UUID]:
        """Renew the leases of the turns that run here, with their bills, and retry settlements that failed.

        Returns:
            Answers of turns that run here and have lost their conversations.

        Raises:
            Unavailable: the database is still away.
        """
        lost = await self._turns.renew(self._open, self._lease_seconds) if self._open else []
        async with self._noting:
            if self._bills:
                bills = {turn_id: (user_id, bill()) for turn_id, (user_id, bill) in self._bills.items()}
                await self._turns.note_bills(bills, self._lease_seconds)
        while self._owed:
            try:
                await self._owed[0].write()
            except GatewayError:
                raise
            except Exception:
                log.exception("settlement_given_up")  # it would fail again; its usage is in the log already
            else:
                log.info("settlement_made_up_for")
            self._close(self._owed.popleft().reservation_id)
        return lost

    def _reservation(self, principal: Principal, estimate: Estimate, *, stores: bool = False) -> Reservation:
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
            most_stored=tier.storage_bytes if stores else None,
            bill=estimate.bill,
        )

    def _granted(
        self, principal: Principal, reservation: Reservation, state: BudgetState, held: Held | None
    ) -> None:
        self._open[reservation.id] = held
        limited_tokens, limited_usd = (
            reservation.tokens_per_day is not None,
            reservation.usd_per_month is not None,
        )
        if limited_tokens or limited_usd:
            self._amounts[reservation.id] = Granted(
                state.granted_tokens if limited_tokens else None, state.granted_usd if limited_usd else None
            )
        principal.allowance.tokens = _tokens_left(reservation, state)

    async def _write(
        self,
        write: Callable[[], Awaitable[T]],
        owner: UsageOwner,
        calls: Sequence[UsageEntry],
        reservation_id: UUID | None,
    ) -> T:
        try:
            written = await _patiently(write)
        except Exception as error:
            if isinstance(error, GatewayError):
                self._owe(_Owed(write, reservation_id))
            else:
                self._close(reservation_id)
            _log_unsettled(owner, calls)
            raise
        self._close(reservation_id)
        return written

    def _owe(self, owed: _Owed) -> None:
        """Try again later; the lease is kept until then, so that nobody ends the turn for us."""
        if len(self._owed) == _MOST_OWED:
            self._close(self._owed.popleft().reservation_id)
        self._owed.append(owed)

    def _close(self, reservation_id: UUID | None) -> None:
        if reservation_id is not None:
            self._open.pop(reservation_id, None)
            self._amounts.pop(reservation_id, None)


async def _fitting(
    principal: Principal, reservation: Reservation, write: Callable[[Reservation], Awaitable[T]]
) -> T:
    """Reserve with what is spare, or without it where that does not fit.

    Raises:
        QuotaExceeded, BudgetExceeded: neither fits; nothing was written.
    """
    try:
        return await write(reservation)
    except OverBudget as refusal:
        if not reservation.spare_tokens and not reservation.spare_usd:
            raise _refused(principal, reservation, refusal) from None
    reservation = replace(reservation, spare_tokens=0, spare_usd=Decimal(0))
    try:
        return await write(reservation)
    except OverBudget as refusal:
        raise _refused(principal, reservation, refusal) from None


async def _patiently(write: Callable[[], Awaitable[T]]) -> T:
    for pause in _PAUSES:
        try:
            return await write()
        except Unavailable:
            await asyncio.sleep(pause)
    return await write()


def _tokens_left(reservation: Reservation, state: BudgetState) -> Window | None:
    limit = reservation.tokens_per_day
    if limit is None:
        return None
    left = limit - state.tokens_used - state.tokens_reserved + state.spare_tokens
    return Window(limit, max(0, left), seconds_left_today())


def _refused(principal: Principal, reservation: Reservation, refusal: OverBudget) -> RateLimited:
    """The error of a reservation that does not fit, money only where it is not the tokens already.

    What stood in the way may be settled by the time `state` is read: then the limit that there is was it.
    """
    state, most = refusal.state, reservation.most_stored
    principal.allowance.tokens = _tokens_left(reservation, state)
    tokens, usd = reservation.tokens_per_day, reservation.usd_per_month
    full = tokens is not None and state.tokens_used + state.tokens_reserved + reservation.tokens > tokens
    poor = usd is not None and state.usd_used + state.usd_reserved + reservation.usd > usd
    if most is not None and state.stored_bytes + refusal.stored > most and not full and not poor:
        return StorageFull(most)
    if full or (tokens is not None and not poor):
        return QuotaExceeded(retry_after=seconds_left_today())
    return BudgetExceeded(retry_after=seconds_left_this_month())


def _log_unsettled(owner: UsageOwner, calls: Collection[UsageEntry]) -> None:
    metrics.settlements_failed.inc()
    log.error(
        "usage_not_settled",
        request_id=owner.request_id,
        user_id=str(owner.user_id),
        api_key_id=str(owner.api_key_id) if owner.api_key_id else None,
        calls=[
            {
                "id": str(call.id),
                "kind": call.kind,
                "model": call.model,
                **call.usage.as_json(),
                "cost_usd": str(call.cost_usd),
            }
            for call in calls
        ],
    )
