"""Bodies of administration: accounts, the audit log, models, and the gateway's own figures."""

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
    """What is left out, or null, stays as it is."""

    role: Literal["user", "admin"] | None = None
    tier: Annotated[str, StringConstraints(min_length=1, max_length=64), Storable] | None = None
    status: Literal["active", "disabled"] | None = None


class UserWithUsage(UserView):
    """An account and what it has used in this month (UTC)."""

    usage: SumsView
    stored_bytes: int = Field(description="its conversations and images")


class UserPage(View):
    items: list[UserWithUsage]
    next_cursor: str | None


class AuditView(View):
    """One act; `actor_id` is null for the command line and for accounts that have left."""

    id: UUID
    actor_id: UUID | None
    actor_email: str | None = Field(description="null where the account is gone")
    action: Action
    target_type: str
    target_id: UUID | None
    target_email: str | None = Field(description="null where the target is no account, or one that is gone")
    target_name: str | None = Field(description="of an API key; null of other targets, and where it is gone")
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
    """A model, and whether its provider has what it needs and answers now."""

    name: str
    upstream_model: str
    provider: str
    providers: list[str] = Field(description="all that answer for it; `provider` is the first of them")
    provider_type: str
    capabilities: list[str]
    context_window: int
    price: PriceView = Field(description="what it is charged at")
    configured: bool
    reachable: bool | None = Field(description="null where it is not configured and so was not asked")
    detail: str
    health: Literal["up", "degraded", "down"] | None = Field(
        description="from its breakers, its providers' checks and the last calls; null if not configured"
    )
    calls: int = Field(description="how many of the last calls of this worker are known")
    failed: int = Field(description="how many of them failed")
    last_error: LastErrorView | None


class AdminModelList(View):
    items: list[AdminModelView]


class TierView(View):
    """A tier of the configuration; null is no limit."""

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
    """What is in force now in the worker that answers."""

    digest: str = Field(description="SHA-256 of the file")
    models: int
    providers: int
    told: Literal["valkey", "parent"] | None = Field(
        description="by whom the other workers hear of it; null where nobody could tell them"
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
    """Figures of all workers of one gateway; latencies are those of each one's last 4,096 requests."""

    uptime_seconds: float
    requests: int
    in_flight: int = Field(description="HTTP requests, this one among them")
    running_turns: int = Field(description="turns that are being answered now")
    status: dict[str, int]
    latency_ms: Percentiles
    slowest: list[SlowRequest]
    models: dict[str, ModelCounters]
