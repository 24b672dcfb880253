"""Routes for an account's API keys."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response

from gateway.core.ids import parse_id
from gateway.domain.accounts.principal import Principal
from gateway.routers.body import StrictJsonRoute
from gateway.routers.dependencies import document_errors, get_container, require_user
from gateway.routers.idempotent import run_idempotent
from gateway.routers.openapi import IDEMPOTENCY_KEY
from gateway.routers.response_headers import json_response
from gateway.schemas.api_key import ApiKeyList, ApiKeyView, CreateApiKeyBody, CreatedApiKeyView

router = APIRouter(prefix="/api/user/api-keys", tags=["accounts"], route_class=StrictJsonRoute)

User = Annotated[Principal, Depends(require_user)]


@router.post(
    "",
    status_code=201,
    openapi_extra=IDEMPOTENCY_KEY,
    response_model=CreatedApiKeyView,
    responses=document_errors(401, 403, 422, 503),
)
async def create_api_key(body: CreateApiKeyBody, user: User, request: Request) -> Response:
    """Create an API key.

    Only this response and its replays for the same `Idempotency-Key` contain its secret.
    """
    return await run_idempotent(request, user, lambda: _create(body, user, request))


async def _create(body: CreateApiKeyBody, user: Principal, request: Request) -> Response:
    key, secret = await get_container(request).accounts.api_keys.create(
        user.user_id,
        name=body.name,
        scopes=body.scopes,
        models=body.models,
        requests_per_minute=body.requests_per_minute,
        expires_at=body.expires_at,
    )
    created = CreatedApiKeyView(
        id=key.id,
        name=key.name,
        prefix=key.prefix,
        secret=secret,
        scopes=list(key.scopes),
        models=None if key.models is None else list(key.models),
        expires_at=key.expires_at,
        created_at=key.created_at,
    )
    return json_response(created, 201, {"cache-control": "no-store"})


@router.get("", responses=document_errors(401, 403))
async def list_api_keys(user: User, request: Request) -> ApiKeyList:
    """List my API keys that are not revoked, newest first."""
    keys = await get_container(request).accounts.api_keys.list(user.user_id)
    return ApiKeyList(items=[ApiKeyView.model_validate(key) for key in keys])


@router.delete("/{key_id}", status_code=204, responses=document_errors(401, 403, 404))
async def revoke_api_key(key_id: str, user: User, request: Request) -> None:
    """Revoke a key from its next request on."""
    await get_container(request).accounts.api_keys.revoke(user.user_id, parse_id(key_id))
