"""Routes of where an account is signed in."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request

from gateway.core.ids import parse_id
from gateway.domain.devices import device_name
from gateway.domain.principal import Principal
from gateway.routers.dependencies import document_errors, get_container, require_person_unlimited
from gateway.routers.edge import EdgeRoute
from gateway.schemas.session import SessionList, SessionView

router = APIRouter(prefix="/api/user/sessions", tags=["accounts"], route_class=EdgeRoute)

# Ending a session is a matter of security: no limit may stand in its way.
Person = Annotated[Principal, Depends(require_person_unlimited)]


@router.get("", responses=document_errors(401, 403))
async def list_sessions(person: Person, request: Request) -> SessionList:
    """Where I am signed in, the last used first."""
    sessions = await get_container(request).sessions.list(person.user_id)
    return SessionList(
        items=[
            SessionView(
                id=session.id,
                device=device_name(session.user_agent),
                user_agent=session.user_agent,
                address=session.address,
                created_at=session.created_at,
                last_used_at=session.last_used_at,
                current=session.id == person.session_id,
            )
            for session in sessions
        ]
    )


@router.delete("", status_code=204, responses=document_errors(401, 403))
async def end_all_sessions(person: Person, request: Request) -> None:
    """Logs me out everywhere, here too; my API keys stay."""
    await get_container(request).sessions.end_all(person.user_id)


@router.delete("/{session_id}", status_code=204, responses=document_errors(401, 403, 404))
async def end_session(session_id: str, person: Person, request: Request) -> None:
    """Ends one session, whose access tokens die at once."""
    await get_container(request).sessions.end(person.user_id, parse_id(session_id))
