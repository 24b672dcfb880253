"""Models, their prices and capabilities."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from gateway.domain.config.base import ConfigModel

Capability = Literal["tools", "json", "vision", "embeddings", "images", "logprobs"]


# Tokens assumed for an answer without a limit: for a model without `max_output_tokens`, and at most.
_DEFAULT_ANSWER_TOKENS = 4096


_MAX_RESERVED_ANSWER_TOKENS = 16_384


# Larger prices could overflow a column of the ledger.
_Dollars = Annotated[Decimal, Field(ge=0, le=1_000_000)]


class PriceConfig(ConfigModel):
    """US dollars per million tokens, and per image; missing prices are unknown.

    Without `cached_input` or `cache_write`, prompt tokens read from or written to the provider's cache cost
    as much as `input`.
    """

    input: _Dollars | None = None
    output: _Dollars | None = None
    cached_input: _Dollars | None = None
    cache_write: _Dollars | None = None
    image: _Dollars | None = None


class ModelConfig(ConfigModel):
    """A model; without a price it costs what `Catalog.price_of` returns.

    `max_output_tokens` is the longest answer the model can give. It is sent to vendors that require a limit
    (`anthropic`) if a request has none.

    `thinking_budgets` enables thinking for models of the types `anthropic` and `gemini`: the thinking tokens
    for each accepted `reasoning_effort`. `none` is always 0. Without budgets, requests with an effort are
    rejected. A budget is at most half of the request's `max_tokens`.

    `provider` may be a list: all of `providers` serve the model, the least busy one first, and `provider` is
    the first of them.
    """

    provider: str
    providers: Annotated[tuple[str, ...], Field(min_length=1)] = ()
    model: str
    context_window: Annotated[int, Field(gt=0)] = 8192
    max_output_tokens: Annotated[int, Field(gt=0)] | None = None
    thinking_budgets: dict[str, Annotated[int, Field(ge=0)]] = Field(default_factory=dict)
    capabilities: frozenset[Capability] = frozenset()
    price: PriceConfig | None = None

    @property
    def reserved_answer_tokens(self) -> int:
        """Answer tokens to reserve for a request without `max_tokens`."""
        return min(
            self.max_output_tokens or _DEFAULT_ANSWER_TOKENS, _MAX_RESERVED_ANSWER_TOKENS, self.context_window
        )

    @property
    def can_chat(self) -> bool:
        """Whether the model generates text, not only embeddings or images."""
        return not self.capabilities or bool(self.capabilities - {"embeddings", "images"})

    @model_validator(mode="before")
    @classmethod
    def _one_or_several(cls, value: Any) -> Any:
        if not isinstance(value, dict) or value.get("providers"):
            return value
        given = value.get("provider")
        if isinstance(given, list | tuple) and given:
            return {**value, "provider": given[0], "providers": tuple(dict.fromkeys(given))}
        return {**value, "providers": (given,)} if isinstance(given, str) else value
