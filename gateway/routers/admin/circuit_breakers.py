"""Routes for the state of circuit breakers, for callers and administrators."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Query
from starlette.requests import Request

from gateway.domain.accounts.principal import Principal
from gateway.routers.body import StrictJsonRoute
from gateway.routers.dependencies import current_principal, document_errors, get_container, require_admin
from gateway.schemas.circuit_breaker import AdminCircuitBreakerList, BreakerHistory, CircuitBreakerList

router = APIRouter(route_class=StrictJsonRoute)


@router.get(
    "/v1/circuit-breakers",
    tags=["catalogue"],
    summary="Circuit breakers",
    responses=document_errors(401, 403, 429),
)
async def list_circuit_breakers(
    request: Request, principal: Annotated[Principal, Depends(current_principal)]
) -> CircuitBreakerList:
    """The state of each provider of each model that the caller may use."""
    return CircuitBreakerList.of(get_container(request).operations.circuit_breakers.visible_to(principal))


@router.get(
    "/api/admin/circuit-breakers",
    tags=["administration"],
    summary="All circuit breakers",
    responses=document_errors(401, 403),
)
async def list_all_circuit_breakers(
    request: Request, admin: Annotated[Principal, Depends(require_admin)]
) -> AdminCircuitBreakerList:
    """The state of every provider of every model, and the number in each state."""
    return AdminCircuitBreakerList.of(get_container(request).operations.circuit_breakers.list_all())


@router.get(
    "/api/admin/circuit-breakers/history",
    tags=["administration"],
    summary="Circuit breaker history",
    responses=document_errors(401, 403, 422),
)
async def read_breaker_history(
    request: Request,
    admin: Annotated[Principal, Depends(require_admin)],
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
) -> BreakerHistory:
    """When circuit breakers opened and closed, newest first."""
    return BreakerHistory.of(await get_container(request).operations.circuit_breakers.history(limit))
