"""Administration routes: accounts, audit log, tiers and models."""

from __future__ import annotations

from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request

from gateway.core.ids import parse_id
from gateway.domain.accounts.principal import Principal
from gateway.domain.config.limits import Tier
from gateway.domain.money import format_usd
from gateway.domain.usage.reports import TimeSpan
from gateway.routers.body import StrictJsonRoute
from gateway.routers.dependencies import document_errors, get_container, require_admin
from gateway.routers.pagination import Cursor, FromDate, Limit, TimeZoneName, ToDate
from gateway.schemas.admin import (
    AdminModelList,
    AdminModelView,
    AuditPage,
    AuditView,
    ChangeUserBody,
    PriceView,
    TierList,
    TierView,
    UserPage,
    UserWithUsage,
)
from gateway.schemas.circuit_breaker import LastErrorView
from gateway.schemas.usage import SumsView
from gateway.schemas.user import UserView
from gateway.services.operations.admin import AdminService, ModelStatus

router = APIRouter(prefix="/api/admin", tags=["administration"], route_class=StrictJsonRoute)

Admin = Annotated[Principal, Depends(require_admin)]


def _service(request: Request) -> AdminService:
    return get_container(request).operations.admin


Service = Annotated[AdminService, Depends(_service)]


# One parameter per query parameter, besides the dependencies.
@router.get("/users", responses=document_errors(401, 403, 422))
async def list_users(
    admin: Admin,
    service: Service,
    q: Annotated[str | None, Query(max_length=320, description="part of the e-mail address or name")] = None,
    role: Literal["user", "admin"] | None = None,
    tier: Annotated[str | None, Query(max_length=64)] = None,
    status: Literal["active", "disabled"] | None = None,
    cursor: Cursor = None,
    limit: Limit = 20,
) -> UserPage:
    """List accounts, newest first, each with its usage of this month (UTC)."""
    page = await service.list_users(cursor=cursor, limit=limit, search=q, role=role, tier=tier, status=status)
    items = [
        UserWithUsage.model_construct(
            **UserView.model_validate(account).model_dump(), usage=SumsView.of(totals), stored_bytes=stored
        )
        for account, totals, stored in page.items
    ]
    return UserPage(items=items, next_cursor=page.next_cursor)


@router.patch("/users/{user_id}", responses=document_errors(401, 403, 404, 409, 422))
async def change_user(user_id: str, body: ChangeUserBody, admin: Admin, service: Service) -> UserView:
    """Set role, tier or status from the account's next request on.

    Disabling signs the account out.
    """
    account = await service.change_user(
        admin.user_id, parse_id(user_id), role=body.role, tier=body.tier, status=body.status
    )
    return UserView.model_validate(account)


# One parameter per query parameter, besides the dependencies.
@router.get("/audit", responses=document_errors(401, 403, 422))
async def read_audit_log(
    admin: Admin,
    service: Service,
    actor_id: Annotated[UUID | None, Query(description="the account that acted")] = None,
    target_id: Annotated[UUID | None, Query(description="the account or object acted on")] = None,
    action: Annotated[str | None, Query(max_length=64)] = None,
    start: FromDate = None,
    end: ToDate = None,
    tz: TimeZoneName = None,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> AuditPage:
    """List administrative actions and security events of accounts, newest first."""
    page = await service.list_audit(
        cursor=cursor,
        limit=limit,
        actor_id=actor_id,
        target_id=target_id,
        action=action,
        time_span=TimeSpan.parse(start, end, tz),
    )
    names = await service.resolve_names(page.items)
    return AuditPage(
        items=[AuditView.of(record, names) for record in page.items], next_cursor=page.next_cursor
    )


@router.get("/tiers", responses=document_errors(401, 403))
async def list_tiers(admin: Admin, request: Request) -> TierList:
    """List the configured tiers and their limits, in file order."""
    tiers = get_container(request).catalog.tiers
    return TierList(items=[_tier_view(name, tier) for name, tier in tiers.items()])


def _tier_view(name: str, tier: Tier) -> TierView:
    usd_limit = tier.usd_per_month
    return TierView(
        name=name,
        **{**tier.model_dump(), "usd_per_month": None if usd_limit is None else format_usd(usd_limit)},
    )


@router.get("/models", responses=document_errors(401, 403))
async def list_models(admin: Admin, service: Service) -> AdminModelList:
    """List all configured models with price and current health."""
    return AdminModelList(items=[_model_view(state) for state in await service.list_models()])


def _model_view(state: ModelStatus) -> AdminModelView:
    config = state.config
    # A model is reachable through any of its providers; the detail shown is that of an unreachable one.
    health = min(state.provider_health, key=lambda one: one.reachable, default=None)
    return AdminModelView(
        name=state.name,
        upstream_model=config.model,
        provider=config.provider,
        providers=list(config.providers),
        provider_type=state.providers[0].type,
        capabilities=sorted(config.capabilities),
        context_window=config.context_window,
        price=PriceView(input=f"{state.price.input:f}", output=f"{state.price.output:f}"),
        configured=any(provider.configured for provider in state.providers),
        reachable=None if health is None else any(one.reachable for one in state.provider_health),
        detail="" if health is None else health.detail,
        health=state.health,
        calls=sum(upstream.calls for upstream in state.upstreams),
        failed=sum(upstream.failed for upstream in state.upstreams),
        last_error=None if state.last_error is None else LastErrorView.model_validate(state.last_error),
    )
