"""What a turn may still spend: calls that run at the same time never count on the same tokens."""

from __future__ import annotations

import asyncio
from decimal import Decimal

import pytest

from gateway.agent.turn_budget import Granted, TurnBudget
from gateway.core.exceptions import QuotaExceeded
from gateway.domain.budget import Estimate
from gateway.domain.usage import Price

PRICE = Price(Decimal(1), Decimal(2))


async def test_a_call_that_starts_while_more_is_asked_for_gets_tokens_of_its_own() -> None:
    asked: list[int] = []
    first_asks, go_on = asyncio.Event(), asyncio.Event()

    async def extend(more: Estimate) -> Granted:
        asked.append(more.tokens)
        if len(asked) == 1:
            first_asks.set()
            await go_on.wait()
        return Granted(more.tokens, more.usd)

    budget = TurnBudget(Granted(283, None), extend)
    first = asyncio.create_task(budget.cover([], 290, 100, PRICE))
    await first_asks.wait()
    second = await budget.cover([], 130, 160, PRICE)
    go_on.set()
    covered = [await first, second]
    assert [one.answer for one in covered] == [100, 160]
    assert sum(asked) == 290 + 100 + 130 + 160 - 283


async def test_a_call_that_is_refused_holds_nothing() -> None:
    async def extend(more: Estimate) -> Granted:
        raise QuotaExceeded

    budget = TurnBudget(Granted(200, None), extend)
    with pytest.raises(QuotaExceeded):
        await budget.cover([], 300, 100, PRICE)
    assert (await budget.cover([], 50, 150, PRICE)).answer == 150
