"""Concurrent calls of a turn never share reserved tokens."""

from __future__ import annotations

import asyncio
from decimal import Decimal

import pytest

from gateway.agent.budget.turn_budget import ReservedAmount, TurnBudget
from gateway.core.exceptions import QuotaExceeded
from gateway.domain.money import Price
from gateway.domain.usage.budgets import Estimate

PRICE = Price(Decimal(1), Decimal(2))


async def test_a_call_during_an_extension_gets_its_own_tokens() -> None:
    asked: list[int] = []
    first_asks, go_on = asyncio.Event(), asyncio.Event()

    async def extend(more: Estimate) -> ReservedAmount:
        asked.append(more.tokens)
        if len(asked) == 1:
            first_asks.set()
            await go_on.wait()
        return ReservedAmount(more.tokens, more.usd)

    budget = TurnBudget(ReservedAmount(283, None), extend)
    first = asyncio.create_task(budget.reserve_call([], 290, 100, PRICE))
    await first_asks.wait()
    second = await budget.reserve_call([], 130, 160, PRICE)
    go_on.set()
    covered = [await first, second]
    assert [one.answer_tokens for one in covered] == [100, 160]
    assert sum(asked) == 290 + 100 + 130 + 160 - 283


async def test_a_refused_call_reserves_nothing() -> None:
    async def extend(more: Estimate) -> ReservedAmount:
        raise QuotaExceeded

    budget = TurnBudget(ReservedAmount(200, None), extend)
    with pytest.raises(QuotaExceeded):
        await budget.reserve_call([], 300, 100, PRICE)
    assert (await budget.reserve_call([], 50, 150, PRICE)).answer_tokens == 150
