"""Facts about the gateway that are public before login."""

from __future__ import annotations

from fastapi import APIRouter, Request

from gateway.core.version import VERSION
from gateway.routers.body import StrictJsonRoute
from gateway.routers.dependencies import get_container
from gateway.schemas.session import ConsoleView

router = APIRouter(prefix="/api/console", tags=["console"], route_class=StrictJsonRoute)


@router.get("")
async def read_console_info(request: Request) -> ConsoleView:
    """The gateway's version, and whether registration is open."""
    return ConsoleView(version=VERSION, sign_up_open=get_container(request).settings.sign_up_open)
