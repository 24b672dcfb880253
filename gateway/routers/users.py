"""Routes of an account's own pages."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request

from gateway.domain.principal import Principal
from gateway.routers.dependencies import (
    document_errors,
    get_container,
    require_person,
    require_person_unlimited,
)
from gateway.routers.edge import EdgeRoute
from gateway.schemas.user import ChangePasswordBody, DeleteAccountBody, ProfileBody, UserView

router = APIRouter(prefix="/api/user/me", tags=["accounts"], route_class=EdgeRoute)

Person = Annotated[Principal, Depends(require_person)]
Unlimited = Annotated[Principal, Depends(require_person_unlimited)]


@router.get("", responses=document_errors(401, 403))
async def read_me(person: Unlimited, request: Request) -> UserView:
    """My account."""
    return UserView.model_validate(await get_container(request).users.get(person.user_id))


@router.put("", responses=document_errors(401, 403, 409, 422))
async def update_me(body: ProfileBody, person: Person, request: Request) -> UserView:
    """Changes my name or address; another address needs the password and ends every other session."""
    account = await get_container(request).users.update_profile(
        person.user_id,
        session_id=person.session_id,
        name=body.name,
        email=body.email,
        password=body.current_password.get_secret_value() if body.current_password else None,
    )
    return UserView.model_validate(account)


@router.put("/password", status_code=204, responses=document_errors(401, 403, 422))
async def change_password(body: ChangePasswordBody, person: Person, request: Request) -> None:
    """Sets a new password; every other session ends at once."""
    await get_container(request).users.change_password(
        person.user_id,
        session_id=person.session_id,
        current=body.current_password.get_secret_value(),
        new=body.new_password.get_secret_value(),
    )


@router.delete("", status_code=204, responses=document_errors(401, 403, 409, 422))
async def delete_me(body: DeleteAccountBody, person: Person, request: Request) -> None:
    """Deletes my account and everything that is mine."""
    await get_container(request).account_data.delete(person.user_id, body.password.get_secret_value())
