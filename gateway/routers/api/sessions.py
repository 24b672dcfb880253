"""Routes for an account's sessions."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request

from gateway.core.ids import parse_id
from gateway.domain.accounts.principal import Principal
from gateway.domain.accounts.user_agent import device_name
from gateway.routers.body import StrictJsonRoute
from gateway.routers.dependencies import document_errors, get_container, require_user_unlimited
from gateway.schemas.session import SessionList, SessionView

router = APIRouter(prefix="/api/user/sessions", tags=["accounts"], route_class=StrictJsonRoute)

# Ending a session is a security measure: no rate limit may prevent it.
User = Annotated[Principal, Depends(require_user_unlimited)]


@router.get("", responses=document_errors(401, 403))
async def list_sessions(user: User, request: Request) -> SessionList:
    """List my sessions, most recently used first."""
    sessions = await get_container(request).accounts.sessions.list(user.user_id)
    return SessionList(
        items=[
            SessionView(
                id=session.id,
                device=device_name(session.user_agent),
                user_agent=session.user_agent,
                address=session.address,
                created_at=session.created_at,
                last_used_at=session.last_used_at,
                current=session.id == user.session_id,
            )
            for session in sessions
        ]
    )


@router.delete("", status_code=204, responses=document_errors(401, 403))
async def end_all_sessions(user: User, request: Request) -> None:
    """End all my sessions, including this one; my API keys stay valid."""
    await get_container(request).accounts.sessions.revoke_all(user.user_id)


@router.delete("/{session_id}", status_code=204, responses=document_errors(401, 403, 404))
async def end_session(session_id: str, user: User, request: Request) -> None:
    """End one session; its access tokens stop working at once."""
    await get_container(request).accounts.sessions.revoke(user.user_id, parse_id(session_id))
