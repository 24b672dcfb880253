"""Administration bodies: accounts, audit log, models and process metrics."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import Field, StringConstraints

from gateway.domain.accounts.audit import Action, AuditNames, AuditRecord
from gateway.schemas.base import Body, Storable, View
from gateway.schemas.circuit_breaker import LastErrorView
from gateway.schemas.usage import SumsView
from gateway.schemas.user import UserView


class ChangeUserBody(Body):
    """Fields that are omitted or null stay unchanged."""

    role: Literal["user", "admin"] | None = None
    tier: Annotated[str, StringConstraints(min_length=1, max_length=64), Storable] | None = None
    status: Literal["active", "disabled"] | None = None


class UserWithUsage(UserView):
    """An account and its usage of this month (UTC)."""

    usage: SumsView
    stored_bytes: int = Field(description="its conversations and images")


class UserPage(View):
    items: list[UserWithUsage]
    next_cursor: str | None


class AuditView(View):
    """One audit record.

    `actor_id` is null for the command line and for deleted accounts.
    """

    id: UUID
    actor_id: UUID | None
    actor_email: str | None = Field(description="null if the account was deleted")
    action: Action
    target_type: str
    target_id: UUID | None
    target_email: str | None = Field(description="null if the target is not an account or was deleted")
    target_name: str | None = Field(
        description=("name of an API key; null for other targets and deleted keys")
    )
    details: dict[str, Any]
    ip: str | None
    request_id: str | None
    created_at: datetime

    @classmethod
    def of(cls, record: AuditRecord, names: AuditNames) -> AuditView:
        target = record.target_id
        return cls.model_construct(
            **asdict(record),
            actor_email=names.accounts.get(record.actor_id) if record.actor_id else None,
            target_email=names.accounts.get(target) if target else None,
            target_name=names.keys.get(target) if target else None,
        )


class AuditPage(View):
    items: list[AuditView]
    next_cursor: str | None


class PriceView(View):
    """US dollars per million tokens."""

    input: str
    output: str


class AdminModelView(View):
    """A model, and whether its provider is configured and healthy."""

    name: str
    upstream_model: str
    provider: str
    providers: list[str] = Field(description="all providers of the model; `provider` is the first")
    provider_type: str
    capabilities: list[str]
    context_window: int
    price: PriceView = Field(description="the price that is charged")
    configured: bool
    reachable: bool | None = Field(description="null if it is not configured and was not checked")
    detail: str
    health: Literal["up", "degraded", "down"] | None = Field(
        description="from its circuit breakers, provider checks and recent calls; null if not configured"
    )
    calls: int = Field(description="number of recent calls known to this worker")
    failed: int = Field(description="how many of them failed")
    last_error: LastErrorView | None


class AdminModelList(View):
    items: list[AdminModelView]


class TierView(View):
    """A configured tier; null means no limit."""

    name: str
    requests_per_minute: int | None
    reads_per_minute: int | None
    tokens_per_day: int | None
    usd_per_month: str | None
    concurrent_turns: int | None
    storage_mb: int | None


class TierList(View):
    items: list[TierView]


class ReloadView(View):
    """The configuration in force in the worker that answers."""

    digest: str = Field(description="SHA-256 of the file")
    models: int
    providers: int
    notified_via: Literal["valkey", "parent"] | None = Field(
        serialization_alias="told", description="how the other workers were notified; null if they were not"
    )


class SlowRequest(View):
    path: str
    method: str
    status: int
    duration_ms: float
    request_id: str


class Percentiles(View):
    p50: float | None
    p95: float | None
    p99: float | None


class ModelCounters(View):
    requests: int
    errors: int
    prompt_tokens: int
    completion_tokens: int
    cost_usd: str


class MetricsView(View):
    """Metrics of all workers of one gateway.

    Latencies cover each worker's last 4,096 requests.
    """

    uptime_seconds: float
    requests: int
    in_flight: int = Field(description="HTTP requests, including this one")
    running_turns: int = Field(description="turns in progress")
    status: dict[str, int]
    latency_ms: Percentiles
    slowest: list[SlowRequest]
    models: dict[str, ModelCounters]
