"""Routes for the models and tools that the caller may use."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends
from starlette.requests import Request

from gateway.dialects.openai.models import price_body
from gateway.domain.accounts.principal import Principal
from gateway.routers.body import StrictJsonRoute
from gateway.routers.dependencies import current_principal, get_container

router = APIRouter(prefix="/api", tags=["catalogue"], route_class=StrictJsonRoute)


@router.get("/models", summary="Models and aliases")
async def list_models(
    request: Request, principal: Annotated[Principal, Depends(current_principal)]
) -> dict[str, Any]:
    """Model names.

    With the models behind them, capabilities, context window and price (USD per million tokens).
    """
    return {
        "items": [
            {
                "name": option.name,
                "kind": option.kind,
                "models": list(option.models),
                "provider": option.provider,
                "capabilities": list(option.capabilities),
                "context_window": option.context_window,
                "price": price_body(option.price),
            }
            for option in get_container(request).operations.model_catalog.list_options(principal)
        ]
    }


@router.get("/tools", summary="The gateway's own tools")
async def list_tools(
    request: Request, principal: Annotated[Principal, Depends(current_principal)]
) -> dict[str, Any]:
    """Tool names, descriptions and the JSON Schema of their arguments."""
    return {
        "items": [
            {"name": tool.name, "description": tool.description, "parameters": tool.parameters}
            for tool in get_container(request).operations.model_catalog.list_tools()
        ]
    }
