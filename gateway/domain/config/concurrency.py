"""Concurrent turns and their queue."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from gateway.domain.config.base import ConfigModel


class ConcurrencyConfig(ConfigModel):
    """Limits per worker: `turns` at once, at most `per_account` of one account.

    At most `queue` more wait, each for at most `wait_seconds`. `per_account: null` means no limit per
    account.
    """

    turns: Annotated[int, Field(gt=0, le=100_000)] = 1000
    per_account: Annotated[int, Field(gt=0)] | None = 500
    queue: Annotated[int, Field(ge=0, le=100_000)] = 1000
    wait_seconds: Annotated[float, Field(ge=0, le=300)] = 10.0
