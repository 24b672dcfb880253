"""Circuit breaker bodies."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import Literal

from pydantic import Field

from gateway.domain.circuit_breaker import BreakerChange, BreakerView
from gateway.schemas.base import View


class CircuitBreakerView(View):
    """The circuit breaker of one provider and model."""

    upstream: str = Field(description="the provider's name")
    model: str = Field(description="the gateway's name of the model")
    state: Literal["closed", "open", "half_open"] = Field(
        description="`open`: not called; `half_open`: a single request checks whether it is healthy again"
    )
    failures: int = Field(description="in a row")
    opened_at: datetime | None
    retry_at: datetime | None = Field(description="when it may be probed")


class LastErrorView(View):
    """The most recent failure in this worker."""

    at: datetime
    code: str
    status: int | None = Field(description="the provider's HTTP status")
    reason: str = Field(description="the provider's message, redacted")


class AdminCircuitBreakerView(CircuitBreakerView):
    """The same with the upstream's health, as in `/api/admin/models`."""

    health: Literal["up", "degraded", "down"]
    calls: int = Field(description="number of recent calls known to this worker, at most 20")
    failed: int = Field(description="how many of them failed")
    last_error: LastErrorView | None


class CircuitBreakerList(View):
    object: Literal["list"] = "list"
    data: list[CircuitBreakerView]

    @classmethod
    def of(cls, breakers: Sequence[BreakerView]) -> CircuitBreakerList:
        return cls(data=[CircuitBreakerView.model_validate(breaker) for breaker in breakers])


class BreakerTotals(View):
    closed: int
    open: int
    half_open: int


class AdminCircuitBreakerList(CircuitBreakerList):
    """Every circuit breaker, and the number in each state."""

    data: list[AdminCircuitBreakerView]  # type: ignore[assignment]
    totals: BreakerTotals

    @classmethod
    def of(cls, breakers: Sequence[BreakerView]) -> AdminCircuitBreakerList:
        count = Counter(breaker.state for breaker in breakers)
        return cls(
            data=[AdminCircuitBreakerView.model_validate(breaker) for breaker in breakers],
            totals=BreakerTotals(closed=count["closed"], open=count["open"], half_open=count["half_open"]),
        )


class BreakerChangeView(View):
    """A state change of one provider and model's circuit breaker."""

    at: datetime
    upstream: str = Field(description="the provider's name")
    model: str = Field(description="the gateway's name of the model")
    event: Literal["opened", "reopened", "closed"] = Field(description="`reopened`: the probe failed")


class BreakerHistory(View):
    """State changes of all workers, newest first; Valkey stores the last 500."""

    available: bool = Field(description="false if Valkey is unreachable or not configured")
    items: list[BreakerChangeView]

    @classmethod
    def of(cls, changes: Sequence[BreakerChange] | None) -> BreakerHistory:
        items = [BreakerChangeView.model_validate(change) for change in changes or ()]
        return cls(available=changes is not None, items=items)
