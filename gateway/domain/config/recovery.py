"""How failing upstreams are left alone, and how often a call is tried again."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from gateway.domain.config.base import ConfigModel


class CircuitBreakerConfig(ConfigModel):
    """After `failures` in a row an upstream is left alone for `reset_seconds`, then probed once."""

    failures: Annotated[int, Field(gt=0)] = 5
    reset_seconds: Annotated[float, Field(gt=0)] = 30


class RetryConfig(ConfigModel):
    """`attempts` counts all calls of one model in one step, the first included."""

    attempts: Annotated[int, Field(ge=1)] = 2
    budget_ratio: Annotated[float, Field(ge=0, le=1)] = 0.2
