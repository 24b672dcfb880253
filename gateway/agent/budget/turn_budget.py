"""A turn's reservation of tokens and money, extended call by call."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal

from gateway.core.exceptions import RateLimited
from gateway.domain.events import ModelCall
from gateway.domain.money import Price, Usage
from gateway.domain.usage.budgets import Estimate

_MILLION = Decimal(1_000_000)
# Estimates of a stored history by the database and here may differ by this much.
_TOLERATED_TOKENS = 64
_TOLERATED_USAGE = Usage(_TOLERATED_TOKENS)
# A shorter answer is not worth a call.
_MIN_ANSWER_TOKENS = 16
# Tokens by which a reservation grows while an answer is written: required, and preferred.
_EXTENSION_TOKENS, _PREFERRED_EXTENSION_TOKENS = 256, 2048
_UNLIMITED = 2**31


@dataclass(frozen=True, slots=True)
class ReservedAmount:
    """What a reservation holds; None where the account has no such limit."""

    tokens: int | None
    usd: Decimal | None


ExtendReservation = Callable[[Estimate], Awaitable[ReservedAmount]]


@dataclass(slots=True, eq=False)
class CallReservation:
    """A running call's part of the reservation; `answer_tokens` limits its answer."""

    prompt_tokens: int
    tokens: int
    usd: Decimal
    answer_tokens: int


class TurnBudget:
    """The reservation of one turn, shared by its finished and running calls.

    `truncated` is set once an answer was limited to less than it requested.
    """

    def __init__(self, granted: ReservedAmount, extend: ExtendReservation) -> None:
        """Create the budget.

        Args:
            granted: what was reserved at admission.
            extend: reserves more, or raises QuotaExceeded or BudgetExceeded.
        """
        self._tokens = granted.tokens
        self._usd = granted.usd
        self._extend = extend
        self._open_calls: list[CallReservation] = []
        self._pending_extensions: list[Estimate] = []
        self._prompt_underestimate = 0
        self.truncated = False

    async def reserve_call(
        self,
        model_calls: Sequence[ModelCall],
        prompt_tokens: int,
        min_answer_tokens: int,
        price: Price,
        *,
        max_answer_tokens: int = 0,
    ) -> CallReservation:
        """Reserve a call before it is made, extending the reservation if needed.

        Args:
            model_calls: the turn's finished calls.
            prompt_tokens: estimate of the prompt.
            min_answer_tokens: tokens the answer should have at least.
            max_answer_tokens: tokens it may have; requested before each call except the first.

        Raises:
            QuotaExceeded, BudgetExceeded: not even a short answer fits, and nothing more can be reserved.
        """
        estimate, prompt_tokens = prompt_tokens, prompt_tokens + self._prompt_underestimate
        need = Usage(prompt_tokens, min_answer_tokens)
        tokens, usd = self._remaining(model_calls)
        missing_tokens = 0 if tokens is None else max(0, need.total_tokens - tokens)
        missing_usd = Decimal(0) if usd is None else max(Decimal(0), price.cost(need) - usd)
        capacity = self._answer_capacity(tokens, usd, prompt_tokens, price)
        tolerated = (
            not model_calls
            and missing_tokens <= _TOLERATED_TOKENS
            and missing_usd <= price.cost(_TOLERATED_USAGE)
        )
        spare = max(0, max_answer_tokens - max(min_answer_tokens, capacity)) if model_calls else 0
        # Held during the extension, so that a concurrent auxiliary call cannot use the same tokens.
        reservation = CallReservation(estimate, need.total_tokens, price.cost(need), min_answer_tokens)
        self._open_calls.append(reservation)
        if spare or ((missing_tokens or missing_usd) and not tolerated):
            try:
                await self._request_extension(missing_tokens, missing_usd, price, capacity, spare)
            except BaseException:
                self._open_calls.remove(reservation)
                raise
            tokens, usd = self._remaining(model_calls, excluding=reservation)
        reservation.answer_tokens = max(
            min_answer_tokens if tolerated else 1, self._answer_capacity(tokens, usd, prompt_tokens, price)
        )
        reserved = Usage(prompt_tokens, min(min_answer_tokens, reservation.answer_tokens))
        reservation.tokens, reservation.usd = reserved.total_tokens, price.cost(reserved)
        return reservation

    async def extend_call(self, reservation: CallReservation, price: Price) -> bool:
        """Extend the reservation for a running answer; False if nothing is left.

        Raises:
            Unavailable: the database does not respond.
        """
        spare = Usage(0, _PREFERRED_EXTENSION_TOKENS - _EXTENSION_TOKENS)
        request = Estimate(
            _EXTENSION_TOKENS, price.cost(Usage(0, _EXTENSION_TOKENS)), spare.total_tokens, price.cost(spare)
        )
        try:
            granted = await self._extend(request)
        except RateLimited:
            self.truncated = True
            return False
        self._add(granted)
        self._grow(
            reservation,
            self._answer_capacity(
                None if self._tokens is None else granted.tokens or 0,
                None if self._usd is None else granted.usd or Decimal(0),
                0,
                price,
            ),
            price,
        )
        return True

    def extend_unreserved(self, reservation: CallReservation, price: Price) -> None:
        """Let a running answer continue although the extension could not be stored."""
        step = Usage(0, _EXTENSION_TOKENS)
        self._add(ReservedAmount(step.total_tokens, price.cost(step)))
        self._grow(reservation, _EXTENSION_TOKENS, price)

    @staticmethod
    def _grow(reservation: CallReservation, tokens: int, price: Price) -> None:
        reservation.answer_tokens += tokens
        reservation.tokens += tokens
        reservation.usd += price.cost(Usage(0, tokens))

    def _add(self, granted: ReservedAmount) -> None:
        if self._tokens is not None:
            self._tokens += granted.tokens or 0
        if self._usd is not None:
            self._usd += granted.usd or Decimal(0)

    def release_call(self, reservation: CallReservation, usage: Usage) -> None:
        """Release a finished call and learn how far the prompt estimate was off."""
        self._open_calls.remove(reservation)
        self._prompt_underestimate = max(
            self._prompt_underestimate, usage.prompt_tokens - reservation.prompt_tokens
        )

    async def _request_extension(
        self, missing_tokens: int, missing_usd: Decimal, price: Price, capacity: int, spare: int
    ) -> None:
        """Extend the reservation; a refusal is ignored if `capacity` suffices."""
        request = Estimate(missing_tokens, missing_usd, spare, price.cost(Usage(0, spare)))
        self._pending_extensions.append(request)
        try:
            granted = await self._extend(request)
        except RateLimited:
            if capacity < _MIN_ANSWER_TOKENS:
                raise
            return
        finally:
            self._pending_extensions.remove(request)
        self._add(granted)

    def _remaining(
        self, model_calls: Sequence[ModelCall], excluding: CallReservation | None = None
    ) -> tuple[int | None, Decimal | None]:
        """What finished and running calls leave, including pending extensions."""
        tokens, usd = self._tokens, self._usd
        open_calls = [call for call in self._open_calls if call is not excluding]
        if tokens is not None:
            tokens += sum(request.tokens for request in self._pending_extensions)
            tokens -= sum(model_call.usage.total_tokens for model_call in model_calls)
            tokens -= sum(call.tokens for call in open_calls)
        if usd is not None:
            usd += sum((request.usd for request in self._pending_extensions), Decimal(0))
            usd -= sum((model_call.cost_usd for model_call in model_calls), Decimal(0))
            usd -= sum((call.usd for call in open_calls), Decimal(0))
        return tokens, usd

    @staticmethod
    def _answer_capacity(tokens: int | None, usd: Decimal | None, prompt_tokens: int, price: Price) -> int:
        """Tokens left for an answer after the prompt."""
        capacities = []
        if tokens is not None:
            capacities.append(tokens - prompt_tokens)
        if usd is not None:
            remaining = usd - price.cost(Usage(prompt_tokens))
            capacities.append(
                int(remaining * _MILLION / price.output)
                if price.output
                else _UNLIMITED
                if remaining >= 0
                else 0
            )
        return min(capacities, default=_UNLIMITED)
