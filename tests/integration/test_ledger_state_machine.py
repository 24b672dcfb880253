"""The ledger against a simple model.

A sum of usage and a dictionary of reservations.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from decimal import Decimal
from typing import Any, TypeVar
from uuid import UUID

import hypothesis.strategies as st
from hypothesis import HealthCheck, settings
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    invariant,
    rule,
    run_state_machine_as_test,
)

from gateway.core.database import create_engine, create_session_factory
from gateway.domain.money import Usage
from gateway.domain.usage.budgets import BudgetState, Reservation, ReservationRefused
from gateway.domain.usage.turn_records import UsageEntry, UsageOwner
from gateway.repositories.turns.repository import TurnRepository
from gateway.repositories.unit_of_work import UnitOfWork
from tests.support.database import begin_turn, create_account, fetch_rows, finish_turn, usage_entry
from tests.support.ledger_audit import read_ledger

T = TypeVar("T")

TOKENS = st.integers(0, 120)
DOLLARS = st.decimals("0", "1.2", places=10)
TOKEN_LIMIT = st.none() | st.integers(0, 300)
DOLLAR_LIMIT = st.none() | st.decimals("0", "3", places=10)
CALLS = st.lists(
    st.builds(lambda n, usd: usage_entry(usage=Usage(n, n), cost_usd=usd), TOKENS, DOLLARS), max_size=3
)


class LedgerMachine(RuleBasedStateMachine):
    """One account with reservations, settlements, expiry, rollover and tier changes in any order."""

    open = Bundle("open")
    settled = Bundle("settled")

    def __init__(self, database_url: str) -> None:
        super().__init__()
        self.loop = asyncio.Runner()
        self.engine = create_engine(database_url, 2)
        self.turns = TurnRepository(self.engine)
        self.user: UUID = self.run(create_account(self.engine))
        self.tokens_used, self.usd_used = 0, Decimal(0)
        self.leases: dict[UUID, tuple[int, Decimal]] = {}

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.loop.run(work)

    @rule(
        target=open,
        persisted=st.booleans(),
        tokens=TOKENS,
        usd=DOLLARS,
        most=TOKEN_LIMIT,
        budget=DOLLAR_LIMIT,
    )
    def reserve(
        self, persisted: bool, tokens: int, usd: Decimal, most: int | None, budget: Decimal | None
    ) -> tuple[Reservation, Any] | None:
        """Each reservation may have another tier."""
        made = Reservation(self.user, tokens, usd, most, budget)
        held = (
            sum(t for t, _ in self.leases.values()),
            sum((u for _, u in self.leases.values()), Decimal(0)),
        )
        fits = (most is None or self.tokens_used + held[0] + tokens <= most) and (
            budget is None or self.usd_used + held[1] + usd <= budget
        )
        begun = None
        try:
            if persisted:
                begun = self.run(begin_turn(self.turns, self.user, "q", reservation=made))
                state = begun.opened.budget
            else:
                state = self.run(self.turns.reserve(made))
        except ReservationRefused as refusal:
            granted, state = False, refusal.state
        else:
            granted = True
        assert granted == fits
        if granted:
            held = (held[0] + tokens, held[1] + usd)
        assert (state.tokens_used, state.tokens_reserved) == (self.tokens_used, held[0])
        assert (state.usd_used, state.usd_reserved) == (self.usd_used, held[1])
        if not granted:
            return None
        self.leases[begun.answer_id if begun else made.id] = (tokens, usd)
        return made, begun

    @rule(target=settled, lease=consumes(open), calls=CALLS)
    def settle(self, lease: tuple[Reservation, Any] | None, calls: list[UsageEntry]) -> Any:
        self.write(lease, calls)
        if lease is not None:
            self.leases.pop(lease[1].answer_id if lease[1] else lease[0].id, None)
            self.tokens_used += sum(call.usage.total_tokens for call in calls)
            self.usd_used += sum((call.cost_usd for call in calls), Decimal(0))
        return lease, calls

    @rule(again=settled)
    def settle_again(self, again: Any) -> None:
        self.write(*again)

    def write(self, lease: tuple[Reservation, Any] | None, calls: list[UsageEntry]) -> None:
        if lease is None:
            return
        made, begun = lease
        if begun is not None:
            self.run(finish_turn(self.turns, begun, "a", calls=calls))
        else:
            self.run(self.turns.record_usage(UsageOwner(self.user, "req"), calls, made.id))

    @rule()
    def crash(self) -> None:
        """The process that renewed the leases dies.

        Its turns may still be settled elsewhere.
        """
        self.run(
            fetch_rows(
                self.engine,
                "UPDATE reservations SET expires_at = now() - interval '1 s' WHERE user_id = :u RETURNING 1",
                u=self.user,
            )
        )
        self.run(self.turns.release_expired())
        self.leases.clear()

    @rule()
    def renew_and_sweep(self) -> None:
        self.run(self.turns.renew_leases(dict.fromkeys(self.leases)))
        self.run(self.turns.release_expired())

    @rule()
    def next_day(self) -> None:
        self.shift("day = day - 1")
        self.tokens_used = 0

    @rule()
    def next_month(self) -> None:
        self.shift("day = day - 1, month = month - interval '1 month'")
        self.tokens_used, self.usd_used = 0, Decimal(0)

    def shift(self, change: str) -> None:
        self.run(
            fetch_rows(
                self.engine, f"UPDATE budgets SET {change} WHERE user_id = :u RETURNING 1", u=self.user
            )
        )

    @invariant()
    def reserved_is_the_sum_of_the_leases(self) -> None:
        found = self.run(read_ledger(self.engine, self.user))
        assert (found.tokens_reserved, found.usd_reserved) == (found.leased_tokens, found.leased_usd)
        assert found.leases == len(self.leases)
        assert found.leased_tokens == sum(tokens for tokens, _ in self.leases.values())
        assert found.leased_usd == sum((usd for _, usd in self.leases.values()), Decimal(0))

    @invariant()
    def what_is_read_is_of_today(self) -> None:
        found = self.run(self.read())
        assert (found.tokens_used, found.usd_used) == (self.tokens_used, self.usd_used)
        assert found.tokens_reserved == sum(tokens for tokens, _ in self.leases.values())

    async def read(self) -> BudgetState:
        async with UnitOfWork(create_session_factory(self.engine)) as uow:
            return await uow.budgets.get(self.user)

    def teardown(self) -> None:
        self.run(self.engine.dispose())
        self.loop.close()


def test_the_ledger_matches_its_model(database_url: str) -> None:
    run_state_machine_as_test(
        lambda: LedgerMachine(database_url),
        settings=settings(
            max_examples=25,
            stateful_step_count=25,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
