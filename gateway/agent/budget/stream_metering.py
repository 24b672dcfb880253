"""Limit a streamed answer to its reservation while it is written."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

import structlog

from gateway.agent.budget.turn_budget import CallReservation, TurnBudget
from gateway.core.exceptions import Unavailable
from gateway.domain.events import Completed, ProviderEvent, output_text
from gateway.domain.money import Price, estimate_tokens
from gateway.providers.base import activity_callback

log = structlog.get_logger(__name__)

# Minimum number of characters between two estimates.
_MIN_CHARACTERS_BETWEEN_CHECKS = 64
# A provider that respects `max_tokens` ends by itself and reports exact counts. It gets this much more than
# its limit, because estimates differ.
_SLACK_DIVISOR, _SLACK_TOKENS = 40, 16


async def limit_to_budget(
    events: AsyncGenerator[ProviderEvent, None],
    budget: TurnBudget,
    reservation: CallReservation,
    price: Price,
    max_tokens: int | None = None,
) -> AsyncGenerator[ProviderEvent, None]:
    """Yield the events of an answer and extend its reservation as needed.

    Tokens are estimated only when the text could have used up the reservation (a token has at least one
    character): about twenty times for a long answer. If the account has nothing left, the answer ends with
    `length` and the provider's stream is closed.

    Args:
        max_tokens: the limit that was sent to the provider.
    """
    provider_limit = 0 if max_tokens is None else max_tokens + max_tokens // _SLACK_DIVISOR + _SLACK_TOKENS
    pieces: list[str] = []
    characters, tokens, token_limit = 0, 0, reservation.answer_tokens
    next_check = max(_MIN_CHARACTERS_BETWEEN_CHECKS, token_limit)
    async with aclosing(events):
        async for event in events:
            yield event
            text = output_text(event)
            characters += len(text)
            pieces.append(text)
            if characters < next_check:
                continue
            tokens += estimate_tokens("".join(pieces))
            pieces, characters = [], 0
            if tokens >= token_limit:
                if await _try_extend(budget, reservation, price):
                    token_limit = reservation.answer_tokens
                elif tokens >= provider_limit:
                    yield Completed("length")
                    return
                else:
                    token_limit = provider_limit
            next_check = max(_MIN_CHARACTERS_BETWEEN_CHECKS, token_limit - tokens)


async def _try_extend(budget: TurnBudget, reservation: CallReservation, price: Price) -> bool:
    """Extend the reservation; whether the answer may continue."""
    try:
        return await budget.extend_call(reservation, price)
    except Unavailable:
        # A running answer survives a restart of the database; its settlement is retried.
        log.warning("reservation.extension_failed")
        budget.extend_unreserved(reservation, price)
        return True
    finally:
        if (on_activity := activity_callback.get()) is not None:
            on_activity()
