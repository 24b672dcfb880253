"""What an account may choose: `/api/models` and `/api/tools`."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends
from starlette.requests import Request

from gateway.dialects.openai.models import price_body
from gateway.domain.principal import Principal
from gateway.routers.dependencies import current_principal, get_container
from gateway.routers.edge import EdgeRoute

router = APIRouter(prefix="/api", tags=["catalogue"], route_class=EdgeRoute)


@router.get("/models", summary="Models and aliases")
async def list_models(
    request: Request, principal: Annotated[Principal, Depends(current_principal)]
) -> dict[str, Any]:
    """Names with what they stand for, capabilities, context window and price (USD per million tokens)."""
    return {
        "items": [
            {
                "name": choice.name,
                "kind": choice.kind,
                "models": list(choice.models),
                "provider": choice.provider,
                "capabilities": list(choice.capabilities),
                "context_window": choice.context_window,
                "price": price_body(choice.price),
            }
            for choice in get_container(request).models.choices(principal)
        ]
    }


@router.get("/tools", summary="The gateway's own tools")
async def list_tools(
    request: Request, principal: Annotated[Principal, Depends(current_principal)]
) -> dict[str, Any]:
    """Names, descriptions and the JSON Schema of their arguments."""
    return {
        "items": [
            {"name": tool.name, "description": tool.description, "parameters": tool.parameters}
            for tool in get_container(request).models.tools()
        ]
    }
