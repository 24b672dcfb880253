"""The route with which an administrator reloads the provider configuration."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends
from starlette.requests import Request

from gateway.domain.accounts.principal import Principal
from gateway.routers.body import StrictJsonRoute
from gateway.routers.dependencies import document_errors, get_reload_service, require_admin
from gateway.schemas.admin import ReloadView

router = APIRouter(tags=["administration"], route_class=StrictJsonRoute)


@router.post(
    "/api/admin/reload",
    summary="Reload provider_config.yaml",
    responses=document_errors(401, 403, 422),
)
async def reload_configuration(
    request: Request, admin: Annotated[Principal, Depends(require_admin)]
) -> ReloadView:
    """Apply the configuration file in every worker.

    If the file is invalid, nothing changes, and the 422 response lists the problems by line. Running turns
    finish with the configuration they started with.
    """
    result = await get_reload_service(request).reload_as_admin(admin.user_id)
    return ReloadView(
        digest=result.config.digest,
        models=result.config.models,
        providers=result.config.providers,
        notified_via=result.notified_via,
    )
