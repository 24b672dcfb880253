"""The route by which an administrator has the provider configuration read anew."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends
from starlette.requests import Request

from gateway.domain.principal import Principal
from gateway.routers.dependencies import document_errors, get_reloads, require_admin
from gateway.routers.edge import EdgeRoute
from gateway.schemas.admin import ReloadView

router = APIRouter(tags=["administration"], route_class=EdgeRoute)


@router.post(
    "/api/admin/reload",
    summary="Read provider_config.yaml anew",
    responses=document_errors(401, 403, 422),
)
async def reload_configuration(
    request: Request, admin: Annotated[Principal, Depends(require_admin)]
) -> ReloadView:
    """Puts the file into force whole, in every worker, or nothing of it: 422 says what is wrong, by line.

    Turns under way end on the configuration they began with.
    """
    done = await get_reloads(request).by_admin(admin.user_id)
    return ReloadView(
        digest=done.loaded.digest,
        models=done.loaded.models,
        providers=done.loaded.providers,
        told=done.told,
    )
