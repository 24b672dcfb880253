"""OpenAI's `/v1/models`."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends
from starlette.requests import Request

from gateway.dialects.openai.models import model_body
from gateway.domain.accounts.principal import Principal
from gateway.routers.dependencies import api_key_only, get_container

router = APIRouter(prefix="/v1", tags=["openai"])


@router.get("/models", summary="Models that this key may use")
async def list_models(
    request: Request, principal: Annotated[Principal, Depends(api_key_only("models"))]
) -> dict[str, Any]:
    """`auto`, aliases and models, with capabilities and prices."""
    options = get_container(request).operations.model_catalog.list_options(principal)
    return {"object": "list", "data": [model_body(option) for option in options]}


@router.get("/models/{name:path}", summary="One model or alias")
async def get_model(
    name: str, request: Request, principal: Annotated[Principal, Depends(api_key_only("models"))]
) -> dict[str, Any]:
    """The same object as in the list; 404 `model_not_found` for an unknown name."""
    return model_body(get_container(request).operations.model_catalog.get_option(name, principal))
