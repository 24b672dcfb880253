"""Routes of an account's API keys."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response

from gateway.core.ids import parse_id
from gateway.domain.principal import Principal
from gateway.routers.answers import json_response
from gateway.routers.dependencies import document_errors, get_container, require_person
from gateway.routers.edge import EdgeRoute
from gateway.routers.once import once
from gateway.routers.openapi import KEYED
from gateway.schemas.api_key import ApiKeyList, ApiKeyView, CreateApiKeyBody, CreatedApiKeyView

router = APIRouter(prefix="/api/user/api-keys", tags=["accounts"], route_class=EdgeRoute)

Person = Annotated[Principal, Depends(require_person)]


@router.post(
    "",
    status_code=201,
    openapi_extra=KEYED,
    response_model=CreatedApiKeyView,
    responses=document_errors(401, 403, 422, 503),
)
async def create_api_key(body: CreateApiKeyBody, person: Person, request: Request) -> Response:
    """Makes an API key; its secret is in this answer alone, and in those to the same `Idempotency-Key`."""
    return await once(request, person, lambda: _created(body, person, request))


async def _created(body: CreateApiKeyBody, person: Principal, request: Request) -> Response:
    key, secret = await get_container(request).api_keys.create(
        person.user_id,
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
async def list_api_keys(person: Person, request: Request) -> ApiKeyList:
    """My API keys that are not revoked, newest first."""
    keys = await get_container(request).api_keys.list(person.user_id)
    return ApiKeyList(items=[ApiKeyView.model_validate(key) for key in keys])


@router.delete("/{key_id}", status_code=204, responses=document_errors(401, 403, 404))
async def revoke_api_key(key_id: str, person: Person, request: Request) -> None:
    """Revokes a key, from its next request on."""
    await get_container(request).api_keys.revoke(person.user_id, parse_id(key_id))
