"""Token usage, prices and money.

Money is Decimal US dollars, a decimal string on the wire.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal

_MILLION = Decimal(1_000_000)
_SIX_DECIMALS = Decimal("0.000001")


@dataclass(frozen=True, slots=True)
class Usage:
    """Token counts of model calls, as reported by the providers.

    `cached_tokens` were read from the provider's prompt cache and `cache_write_tokens` written to it; both
    are part of `prompt_tokens`. `reasoning_tokens` are part of `completion_tokens`.
    """

    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0

    @property
    def total_tokens(self) -> int:
        return self.prompt_tokens + self.completion_tokens

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            self.prompt_tokens + other.prompt_tokens,
            self.completion_tokens + other.completion_tokens,
            self.cached_tokens + other.cached_tokens,
            self.cache_write_tokens + other.cache_write_tokens,
            self.reasoning_tokens + other.reasoning_tokens,
        )

    def as_json(self) -> dict[str, int]:
        """Return the counts in the format of the native API."""
        return {
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": self.completion_tokens,
            "total_tokens": self.total_tokens,
            "cached_tokens": self.cached_tokens,
            "cache_write_tokens": self.cache_write_tokens,
            "reasoning_tokens": self.reasoning_tokens,
        }


@dataclass(frozen=True, slots=True)
class Price:
    """US dollars per million tokens, and per image.

    `cached_input` and `cache_write` apply to prompt tokens read from and written to the provider's cache;
    None means the price of `input`.
    """

    input: Decimal = Decimal(0)
    output: Decimal = Decimal(0)
    image: Decimal = Decimal(0)
    cached_input: Decimal | None = None
    cache_write: Decimal | None = None

    def cost(self, usage: Usage) -> Decimal:
        """Return the cost of `usage` in dollars, unrounded."""
        dollars = self.input * usage.prompt_tokens + self.output * usage.completion_tokens
        if usage.cached_tokens and self.cached_input is not None:
            dollars += (self.cached_input - self.input) * usage.cached_tokens
        if usage.cache_write_tokens and self.cache_write is not None:
            dollars += (self.cache_write - self.input) * usage.cache_write_tokens
        return dollars / _MILLION


def format_usd(amount: Decimal) -> str:
    """Format a dollar amount for the wire: six decimals, half-even."""
    return f"{amount.quantize(_SIX_DECIMALS, ROUND_HALF_EVEN):f}"


def estimate_tokens(text: str) -> int:
    """Estimate the tokens of a text that no provider counted.

    A quarter of its ASCII characters plus two thirds of the others (Korean and Chinese take one to two tokens
    per character).
    """
    length = len(text)
    if text.isascii():
        return (length + 3) // 4
    ascii_count = len(text.encode("ascii", "ignore"))
    return (ascii_count + 3) // 4 + (2 * (length - ascii_count) + 2) // 3
