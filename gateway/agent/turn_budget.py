"""What a turn may still spend of its reservation. It asks for more before a call that does not fit."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal

from gateway.core.exceptions import RateLimited
from gateway.domain.budget import Estimate
from gateway.domain.events import Attempt
from gateway.domain.usage import Price, Usage

_MILLION = Decimal(1_000_000)
# Estimates of a stored history, by the database and here, may differ by this much before the first call.
_TOLERANCE = 64
_SLIGHT = Usage(_TOLERANCE)
# An answer of fewer tokens than these is not worth a call.
_SHORTEST = 16
# By so much a reservation grows while an answer is written: at least, and where there is enough left.
_STEP, _LONG_STEP = 256, 2048
_UNLIMITED = 2**31


@dataclass(frozen=True, slots=True)
class Granted:
    """What a reservation holds; None where the account has no such limit."""

    tokens: int | None
    usd: Decimal | None


Extend = Callable[[Estimate], Awaitable[Granted]]


@dataclass(slots=True, eq=False)
class Covered:
    """A call that fits into the reservation, until it has ended; `answer` is how long its answer may be."""

    prompt: int
    tokens: int
    usd: Decimal
    answer: int


class TurnBudget:
    """The reservation of one turn. `attempts` are what it has spent, calls that still run are held apart.

    `cut` is True once an answer was given less room than it asked for.
    """

    def __init__(self, granted: Granted, extend: Extend) -> None:
        """`extend` adds to the reservation, or raises QuotaExceeded or BudgetExceeded."""
        self._tokens = granted.tokens
        self._usd = granted.usd
        self._extend = extend
        self._running: list[Covered] = []
        self._asked: list[Estimate] = []
        self._uncounted = 0
        self.cut = False

    async def cover(
        self, attempts: Sequence[Attempt], prompt: int, answer: int, price: Price, *, longest: int = 0
    ) -> Covered:
        """Make sure that a call fits before it is made.

        Args:
            prompt: estimate of the prompt's tokens.
            answer: tokens that the answer should have at least.
            longest: tokens that it may have; before each call but the first they are asked for, too.

        Raises:
            QuotaExceeded, BudgetExceeded: not even a short answer fits, and there is no more to reserve.
        """
        estimate, prompt = prompt, prompt + self._uncounted
        need = Usage(prompt, answer)
        tokens, usd = self._left(attempts)
        missing_tokens = 0 if tokens is None else max(0, need.total_tokens - tokens)
        missing_usd = Decimal(0) if usd is None else max(Decimal(0), price.cost(need) - usd)
        room = self._room(tokens, usd, prompt, price)
        slight = not attempts and missing_tokens <= _TOLERANCE and missing_usd <= price.cost(_SLIGHT)
        spare = max(0, longest - max(answer, room)) if attempts else 0
        # Held while more is asked for: a side call that starts meanwhile must not count on the same tokens.
        covered = Covered(estimate, need.total_tokens, price.cost(need), answer)
        self._running.append(covered)
        if spare or ((missing_tokens or missing_usd) and not slight):
            try:
                await self._ask_for(missing_tokens, missing_usd, price, room, spare)
            except BaseException:
                self._running.remove(covered)
                raise
            tokens, usd = self._left(attempts, but=covered)
        covered.answer = max(answer if slight else 1, self._room(tokens, usd, prompt, price))
        held = Usage(prompt, min(answer, covered.answer))
        covered.tokens, covered.usd = held.total_tokens, price.cost(held)
        return covered

    async def extend(self, covered: Covered, price: Price) -> bool:
        """Reserve more for the answer of a running call; False where the account has nothing left for it.

        Raises:
            Unavailable: the database cannot be asked.
        """
        spare = Usage(0, _LONG_STEP - _STEP)
        least = Estimate(_STEP, price.cost(Usage(0, _STEP)), spare.total_tokens, price.cost(spare))
        try:
            more = await self._extend(least)
        except RateLimited:
            self.cut = True
            return False
        self._add(more)
        self._hold(
            covered,
            self._room(
                None if self._tokens is None else more.tokens or 0,
                None if self._usd is None else more.usd or Decimal(0),
                0,
                price,
            ),
            price,
        )
        return True

    def trust(self, covered: Covered, price: Price) -> None:
        """Let the answer of a running call go on by a step that could not be reserved."""
        step = Usage(0, _STEP)
        self._add(Granted(step.total_tokens, price.cost(step)))
        self._hold(covered, _STEP, price)

    @staticmethod
    def _hold(covered: Covered, tokens: int, price: Price) -> None:
        covered.answer += tokens
        covered.tokens += tokens
        covered.usd += price.cost(Usage(0, tokens))

    def _add(self, more: Granted) -> None:
        if self._tokens is not None:
            self._tokens += more.tokens or 0
        if self._usd is not None:
            self._usd += more.usd or Decimal(0)

    def end(self, covered: Covered, usage: Usage) -> None:
        """The call has ended and is among the attempts; `usage` shows how far the estimate was off."""
        self._running.remove(covered)
        self._uncounted = max(self._uncounted, usage.prompt_tokens - covered.prompt)

    async def _ask_for(
        self, missing_tokens: int, missing_usd: Decimal, price: Price, room: int, spare: int
    ) -> None:
        """Have the reservation extended; a refusal does not matter where an answer of `room` will do."""
        wanted = Estimate(missing_tokens, missing_usd, spare, price.cost(Usage(0, spare)))
        self._asked.append(wanted)
        try:
            more = await self._extend(wanted)
        except RateLimited:
            if room < _SHORTEST:
                raise
            return
        finally:
            self._asked.remove(wanted)
        self._add(more)

    def _left(
        self, attempts: Sequence[Attempt], but: Covered | None = None
    ) -> tuple[int | None, Decimal | None]:
        """What neither attempts nor running calls but `but` take, with what is being asked for."""
        tokens, usd = self._tokens, self._usd
        running = [covered for covered in self._running if covered is not but]
        if tokens is not None:
            tokens += sum(wanted.tokens for wanted in self._asked)
            tokens -= sum(attempt.usage.total_tokens for attempt in attempts)
            tokens -= sum(covered.tokens for covered in running)
        if usd is not None:
            usd += sum((wanted.usd for wanted in self._asked), Decimal(0))
            usd -= sum((attempt.cost_usd for attempt in attempts), Decimal(0))
            usd -= sum((covered.usd for covered in running), Decimal(0))
        return tokens, usd

    @staticmethod
    def _room(tokens: int | None, usd: Decimal | None, prompt: int, price: Price) -> int:
        """How many tokens of an answer fit behind the prompt."""
        rooms = []
        if tokens is not None:
            rooms.append(tokens - prompt)
        if usd is not None:
            left = usd - price.cost(Usage(prompt))
            rooms.append(
                int(left * _MILLION / price.output) if price.output else _UNLIMITED if left >= 0 else 0
            )
        return min(rooms, default=_UNLIMITED)
