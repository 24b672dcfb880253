"""Routes for an account's own profile."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request

from gateway.domain.accounts.principal import Principal
from gateway.routers.body import StrictJsonRoute
from gateway.routers.dependencies import (
    document_errors,
    get_container,
    require_user,
    require_user_unlimited,
)
from gateway.schemas.user import ChangePasswordBody, DeleteAccountBody, ProfileBody, UserView

router = APIRouter(prefix="/api/user/me", tags=["accounts"], route_class=StrictJsonRoute)

User = Annotated[Principal, Depends(require_user)]
UnlimitedUser = Annotated[Principal, Depends(require_user_unlimited)]


@router.get("", responses=document_errors(401, 403))
async def read_me(user: UnlimitedUser, request: Request) -> UserView:
    """My account."""
    return UserView.model_validate(await get_container(request).accounts.users.get(user.user_id))


@router.put("", responses=document_errors(401, 403, 409, 422))
async def update_me(body: ProfileBody, user: User, request: Request) -> UserView:
    """Change my name or e-mail address.

    A new address needs the password and ends all other sessions.
    """
    account = await get_container(request).accounts.users.update_profile(
        user.user_id,
        session_id=user.session_id,
        name=body.name,
        email=body.email,
        password=body.current_password.get_secret_value() if body.current_password else None,
    )
    return UserView.model_validate(account)


@router.put("/password", status_code=204, responses=document_errors(401, 403, 422))
async def change_password(body: ChangePasswordBody, user: User, request: Request) -> None:
    """Set a new password; all other sessions end at once."""
    await get_container(request).accounts.users.change_password(
        user.user_id,
        session_id=user.session_id,
        current=body.current_password.get_secret_value(),
        new=body.new_password.get_secret_value(),
    )


@router.delete("", status_code=204, responses=document_errors(401, 403, 409, 422))
async def delete_me(body: DeleteAccountBody, user: User, request: Request) -> None:
    """Delete my account and all its data."""
    await get_container(request).accounts.deletion.delete(user.user_id, body.password.get_secret_value())
