"""How failing upstreams are left alone, and how often a call is tried again."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from gateway.domain.config.base import ConfigModel


class CircuitBreakerConfig(ConfigModel):
    """After `failures` in a row an upstream is left alone for `reset_seconds`, then probed once."""

    failures: Annotated[int, Field(gt=0)] = 5
    reset_seconds: Annotated[float, Field(gt=0, le=86_400)] = 30


class RetryConfig(ConfigModel):
    """`attempts` counts all calls of one model in one step, the first included.

    Retries are at most `budget_ratio` of a worker's calls (0: none). They wait a random time of up to
    `backoff_seconds`, twice as much each further time, `max_wait_seconds` at most; what a vendor asks for by
    `retry-after` is waited for up to the same bound.
    """

    attempts: Annotated[int, Field(ge=1, le=10)] = 2
    budget_ratio: Annotated[float, Field(ge=0, le=1)] = 0.2
    backoff_seconds: Annotated[float, Field(gt=0, le=60)] = 0.2
    max_wait_seconds: Annotated[float, Field(ge=0, le=60)] = 2.0
