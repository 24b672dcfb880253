"""Circuit breakers and retries."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from gateway.domain.config.base import ConfigModel


class CircuitBreakerConfig(ConfigModel):
    """Open after `failures` in a row; probe after `reset_seconds`."""

    failures: Annotated[int, Field(gt=0)] = 5
    reset_seconds: Annotated[float, Field(gt=0, le=86_400)] = 30


class RetryConfig(ConfigModel):
    """`attempts` limits all calls of one model in one step, including the first.

    Retries are at most `budget_ratio` of a worker's calls (0: none). The delay is random, up to
    `backoff_seconds`, doubled for each further retry, and at most `max_wait_seconds`. A vendor's
    `retry-after` is respected up to the same limit.
    """

    attempts: Annotated[int, Field(ge=1, le=10)] = 2
    budget_ratio: Annotated[float, Field(ge=0, le=1)] = 0.2
    backoff_seconds: Annotated[float, Field(gt=0, le=60)] = 0.2
    max_wait_seconds: Annotated[float, Field(ge=0, le=60)] = 2.0
