"""Bodies of circuit breakers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import Literal

from pydantic import Field

from gateway.domain.circuit_breaker import BreakerChange, BreakerView
from gateway.schemas.base import View


class CircuitBreakerView(View):
    """The breaker of one provider and model."""

    upstream: str = Field(description="the provider's name")
    model: str = Field(description="the gateway's name of the model")
    state: Literal["closed", "open", "half_open"] = Field(
        description="`open`: left alone; `half_open`: a single request finds out whether it answers again"
    )
    failures: int = Field(description="in a row")
    opened_at: datetime | None
    retry_at: datetime | None = Field(description="when it may be probed")


class LastErrorView(View):
    """The newest failure that this worker saw."""

    at: datetime
    code: str
    status: int | None = Field(description="the provider's HTTP status")
    reason: str = Field(description="the provider's words, redacted")


class AdminCircuitBreakerView(CircuitBreakerView):
    """The same with the judgement of the upstream, as `/api/admin/models` has it."""

    health: Literal["up", "degraded", "down"]
    calls: int = Field(description="how many of the last calls of this worker are known, at most 20")
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
    """Every breaker, and how many there are of each state."""

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
    """What the breaker of one provider and model did."""

    at: datetime
    upstream: str = Field(description="the provider's name")
    model: str = Field(description="the gateway's name of the model")
    event: Literal["opened", "reopened", "closed"] = Field(description="`reopened`: it was tried, and failed")


class BreakerHistory(View):
    """The newest first, of all workers; the last 500 are kept in Valkey, and gone with it."""

    available: bool = Field(description="false while Valkey is away, or there is none")
    items: list[BreakerChangeView]

    @classmethod
    def of(cls, changes: Sequence[BreakerChange] | None) -> BreakerHistory:
        items = [BreakerChangeView.model_validate(change) for change in changes or ()]
        return cls(available=changes is not None, items=items)
