"""Keep a streamed answer within what its turn may spend, while it is written."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

import structlog

from gateway.agent.turn_budget import Covered, TurnBudget
from gateway.core.exceptions import Unavailable
from gateway.domain.events import Completed, ProviderEvent, written
from gateway.domain.usage import Price, estimate_tokens
from gateway.providers.chat.base import sign_of_life

log = structlog.get_logger(__name__)

# Characters after which an answer is measured again at the earliest.
_LEAST_STEP = 64
# A provider that keeps to `max_tokens` ends by itself, with its own counts. It is given that one part of its
# limit and so many tokens more, by which estimates differ.
_SLACK_PART, _SLACK_TOKENS = 40, 16


async def within_budget(
    events: AsyncGenerator[ProviderEvent, None],
    budget: TurnBudget,
    covered: Covered,
    price: Price,
    max_tokens: int | None = None,
) -> AsyncGenerator[ProviderEvent, None]:
    """The events of an answer; the reservation grows with one that is longer than what was reserved.

    The text is measured only when it could have used up the rest, since a token is a character at least: some
    twenty times for a long answer. Where the account has no more left, the answer ends with `length` and its
    provider's stream is closed.

    Args:
        max_tokens: the limit that the provider was given.
    """
    expected = 0 if max_tokens is None else max_tokens + max_tokens // _SLACK_PART + _SLACK_TOKENS
    pieces: list[str] = []
    characters, tokens, most = 0, 0, covered.answer
    due = max(_LEAST_STEP, most)
    async with aclosing(events):
        async for event in events:
            yield event
            text = written(event)
            characters += len(text)
            pieces.append(text)
            if characters < due:
                continue
            tokens += estimate_tokens("".join(pieces))
            pieces, characters = [], 0
            if tokens >= most:
                if await _extended(budget, covered, price):
                    most = covered.answer
                elif tokens >= expected:
                    yield Completed("length")
                    return
                else:
                    most = expected
            due = max(_LEAST_STEP, most - tokens)


async def _extended(budget: TurnBudget, covered: Covered, price: Price) -> bool:
    """Whether the answer may go on."""
    try:
        return await budget.extend(covered, price)
    except Unavailable:
        # An answer that is being written outlives a restart of the database; its settlement waits for it.
        log.warning("reservation.not_extended")
        budget.trust(covered, price)
        return True
    finally:
        if (alive := sign_of_life.get()) is not None:
            alive()
