"""How many turns run at once, and who waits for how long."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from gateway.domain.config.base import ConfigModel


class ConcurrencyConfig(ConfigModel):
    """Of one worker: `turns` at once, of which one account has at most `per_account` (None: all of them).

    At most `queue` more wait, each for at most `wait_seconds`.
    """

    turns: Annotated[int, Field(gt=0, le=100_000)] = 1000
    per_account: Annotated[int, Field(gt=0)] | None = 500
    queue: Annotated[int, Field(ge=0, le=100_000)] = 1000
    wait_seconds: Annotated[float, Field(ge=0, le=300)] = 10.0
