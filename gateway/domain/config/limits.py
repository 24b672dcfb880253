"""Tiers, limits of a turn, and prices of models without a configured price."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Literal

from pydantic import Field

from gateway.domain.config.base import ConfigModel


class OnDisconnect(ConfigModel):
    people: Literal["continue", "cancel"] = "continue"
    api_keys: Literal["continue", "cancel"] = "cancel"


class Tier(ConfigModel):
    """Limits of an account; None means unlimited.

    `requests_per_minute` counts turns and every call with an API key. `reads_per_minute` counts other
    requests of a signed-in user, such as those of the console. `storage_mb` limits conversations and images,
    in millions of bytes.
    """

    requests_per_minute: Annotated[int, Field(gt=0)] | None = None
    reads_per_minute: Annotated[int, Field(gt=0)] | None = 600
    tokens_per_day: Annotated[int, Field(gt=0)] | None = None
    usd_per_month: Annotated[Decimal, Field(gt=0)] | None = None
    concurrent_turns: Annotated[int, Field(gt=0)] | None = None
    storage_mb: Annotated[int, Field(gt=0)] | None = 1000

    @property
    def storage_bytes(self) -> int | None:
        """The storage limit in bytes; None: no limit."""
        return None if self.storage_mb is None else self.storage_mb * 1_000_000


class UnknownPrice(ConfigModel):
    """US dollars per million tokens, and per image."""

    input: Annotated[Decimal, Field(ge=0)] = Decimal(5)
    output: Annotated[Decimal, Field(ge=0)] = Decimal(15)
    image: Annotated[Decimal, Field(ge=0)] = Decimal("0.2")


class Pricing(ConfigModel):
    """`unknown` is the price of a vendor's model without one: high, not free."""

    unknown: UnknownPrice = UnknownPrice()


class Limits(ConfigModel):
    """Limits of single turns, and of keys in `GATEWAY_API_KEYS`.

    Above `usd_per_turn` no further model call starts (None: no limit). `default_max_tokens` is reserved for
    an answer without `max_tokens`. Each key of `GATEWAY_API_KEYS` may send
    `environment_key_requests_per_minute` (None: its tier's limit).
    """

    usd_per_turn: Annotated[Decimal, Field(gt=0)] | None = None
    default_max_tokens: Annotated[int, Field(gt=0)] = 1024
    environment_key_requests_per_minute: Annotated[int, Field(gt=0)] | None = 60


def default_tiers() -> dict[str, Tier]:
    """Return the tiers of a configuration without a `tiers` section."""
    return {
        "free": Tier(requests_per_minute=20, tokens_per_day=200_000, usd_per_month=Decimal(1)),
        "pro": Tier(requests_per_minute=120, tokens_per_day=5_000_000, usd_per_month=Decimal(50)),
        "enterprise": Tier(requests_per_minute=2000),
    }
