"""A streamed answer is limited to its turn's reservation."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from decimal import Decimal
from typing import Any

import pytest

from gateway.agent.budget.stream_metering import limit_to_budget
from gateway.agent.budget.turn_budget import ExtendReservation, ReservedAmount, TurnBudget
from gateway.agent.turn_run import TurnRun
from gateway.core.exceptions import BudgetExceeded, QuotaExceeded, Unavailable
from gateway.domain.events import (
    Completed,
    ModelCall,
    ProviderEvent,
    ReasoningDelta,
    TextDelta,
    ToolCallDelta,
    TurnCompleted,
)
from gateway.domain.money import Price, Usage, estimate_tokens
from gateway.domain.usage.budgets import Estimate
from tests.support.agent import GUARDS_OFF, make_catalog, make_turn, running_agent
from tests.support.upstreams.openai_server import OpenAIUpstream, Reply

PRICE = Price(Decimal(1), Decimal(2))
WORD = "four"


class Account:
    """Grants all that is asked for as long as there is something left, as the ledger's statement does."""

    def __init__(self, tokens: int | None = None, usd: str | None = None) -> None:
        self.tokens = tokens
        self.usd = None if usd is None else Decimal(usd)
        self.asked: list[Estimate] = []

    async def __call__(self, more: Estimate) -> ReservedAmount:
        self.asked.append(more)
        tokens, usd = more.tokens, more.usd
        if self.tokens is not None:
            if self.tokens < tokens:
                raise QuotaExceeded
            tokens += min(more.spare_tokens, (self.tokens - tokens) // 2)
            self.tokens -= tokens
        if self.usd is not None:
            if self.usd < usd:
                raise BudgetExceeded
            usd += min(more.spare_usd, (self.usd - usd) / 8)
            self.usd -= usd
        return ReservedAmount(tokens, usd)


class Vendor:
    """Yields words without end, or `words` of them; `closed` once its stream was."""

    def __init__(self, words: int | None = None, kind: str = "text") -> None:
        self.words = words
        self.kind = kind
        self.said = 0
        self.closed = False

    async def stream(self) -> AsyncGenerator[ProviderEvent, None]:
        try:
            while self.words is None or self.said < self.words:
                self.said += 1
                if self.kind == "text":
                    yield TextDelta(WORD)
                elif self.kind == "thoughts":
                    yield ReasoningDelta(WORD)
                else:
                    yield ToolCallDelta(0, "call_1" if self.said == 1 else None, None, WORD)
            yield Completed("stop", Usage(10, self.said))
        finally:
            self.closed = True


async def written(
    vendor: Vendor,
    extend: ExtendReservation,
    granted: ReservedAmount,
    *,
    attempts: Sequence[ModelCall] = (),
    answer: int = 1024,
) -> tuple[list[ProviderEvent], TurnBudget]:
    budget = TurnBudget(granted, extend)
    covered = await budget.reserve_call(attempts, 100, answer, PRICE)
    events = [event async for event in limit_to_budget(vendor.stream(), budget, covered, PRICE)]
    return events, budget


@pytest.mark.parametrize("kind", ["text", "thoughts", "calls"])
async def test_an_endless_answer_stops_when_the_account_has_nothing_left(kind: str) -> None:
    account, vendor = Account(tokens=20_000), Vendor(kind=kind)
    events, budget = await written(vendor, account, ReservedAmount(4196, None))
    assert events[-1] == Completed("length")
    assert vendor.closed
    limit = 4096 + 20_000
    assert limit - 256 - 64 <= vendor.said <= limit * 1.01
    assert budget.truncated


async def test_an_endless_answer_stops_at_a_money_limit() -> None:
    account, vendor = Account(usd="0.02"), Vendor()
    events, _ = await written(vendor, account, ReservedAmount(None, PRICE.cost(Usage(100, 1024))))
    assert events[-1] == Completed("length")
    limit = 1024 + 10_000  # at 2 dollars a million tokens
    assert limit * 0.95 <= vendor.said <= limit * 1.01


async def test_an_answer_within_its_reservation_is_not_extended() -> None:
    account, vendor = Account(tokens=20_000), Vendor(words=1000)
    events, budget = await written(vendor, account, ReservedAmount(1124, None))
    assert events[-1] == Completed("stop", Usage(10, 1000))
    assert account.asked == []
    assert not budget.truncated


async def test_a_long_answer_is_complete_with_few_extensions() -> None:
    account, vendor = Account(tokens=1_000_000), Vendor(words=30_000)
    events, budget = await written(vendor, account, ReservedAmount(1124, None))
    assert events[-1] == Completed("stop", Usage(10, 30_000))
    assert len(events) == 30_001
    assert len(account.asked) <= 15
    assert not budget.truncated


async def test_tokens_are_estimated_a_few_times_per_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    measured: list[int] = []

    def counting(text: str) -> int:
        measured.append(len(text))
        return estimate_tokens(text)

    monkeypatch.setattr("gateway.agent.budget.stream_metering.estimate_tokens", counting)
    await written(Vendor(words=16_000), Account(tokens=0), ReservedAmount(16_484, None))
    assert 0 < len(measured) <= 30


async def test_a_running_answer_survives_a_database_outage() -> None:
    async def away(more: Estimate) -> ReservedAmount:
        raise Unavailable

    vendor = Vendor(words=3000)
    events, _ = await written(vendor, away, ReservedAmount(1124, None))
    assert events[-1] == Completed("stop", Usage(10, 3000))


async def test_an_extension_is_not_available_to_another_call() -> None:
    account = Account(tokens=100_000)
    budget = TurnBudget(ReservedAmount(1124, None), account)
    running = await budget.reserve_call((), 100, 1024, PRICE)
    assert await budget.extend_call(running, PRICE)
    asked = len(account.asked)
    await budget.reserve_call((), 100, 500, PRICE)
    assert len(account.asked) == asked + 1


@pytest.mark.parametrize("stream", [True, False])
async def test_a_vendor_that_ignores_max_tokens_is_cut_off_and_charged(stream: bool) -> None:
    async with OpenAIUpstream() as up, OpenAIUpstream() as spare:
        up.script(Reply(text=["word " * 16] * 400, pause=0.0))
        config = make_catalog({"one": up.url, "two": spare.url}, fallbacks={"one": ["two"]})
        attempts: list[ModelCall] = []
        events: list[Any] = []
        asked = make_turn(model="one", stream=stream)
        async with running_agent(config) as agent:
            await agent.run(
                TurnRun(
                    asked,
                    asked.messages,
                    guards=GUARDS_OFF,
                    allowed_models=None,
                    model_calls=attempts,
                    emit=events.append,
                    budget=TurnBudget(ReservedAmount(1100, None), Account(tokens=500)),
                )
            )
        assert up.calls[0].body["max_tokens"] <= 1100
    last = events[-1]
    assert isinstance(last, TurnCompleted)
    assert last.answer.finish_reason == "length"
    (attempt,) = attempts
    assert attempt.outcome == "ok"
    assert 1000 <= attempt.usage.total_tokens <= 1600 * 1.05
    assert attempt.usage.completion_tokens == estimate_tokens(last.answer.content)
