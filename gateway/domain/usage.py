"""Tokens and money; money is Decimal US dollars everywhere, a decimal string on the wire."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal

_MILLION = Decimal(1_000_000)
_MICRO = Decimal("0.000001")


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one or several model calls, as the providers counted them."""

    prompt_tokens: int = 0
    completion_tokens: int = 0

    @property
    def total_tokens(self) -> int:
        return self.prompt_tokens + self.completion_tokens

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            self.prompt_tokens + other.prompt_tokens, self.completion_tokens + other.completion_tokens
        )


@dataclass(frozen=True, slots=True)
class Price:
    """US dollars per million tokens, and for each picture."""

    input: Decimal = Decimal(0)
    output: Decimal = Decimal(0)
    image: Decimal = Decimal(0)

    def cost(self, usage: Usage) -> Decimal:
        """Cost of `usage` in dollars, unrounded."""
        return (self.input * usage.prompt_tokens + self.output * usage.completion_tokens) / _MILLION


def money(amount: Decimal) -> str:
    """A dollar amount as the wire shows it: six decimals, half-even."""
    return f"{amount.quantize(_MICRO, ROUND_HALF_EVEN):f}"


def estimate_tokens(text: str) -> int:
    """About how many tokens a text is, where no provider counted: a quarter of its ASCII characters and
    two thirds of the others (Korean and Chinese take one to two tokens a character).
    """
    length = len(text)
    if text.isascii():
        return (length + 3) // 4
    ascii_count = len(text.encode("ascii", "ignore"))
    return (ascii_count + 3) // 4 + (2 * (length - ascii_count) + 2) // 3
