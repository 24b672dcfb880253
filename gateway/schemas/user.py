"""Bodies of an account's own pages."""

from __future__ import annotations

from datetime import datetime
from typing import Literal
from uuid import UUID

from gateway.schemas.auth import Email, Name, NewPassword, Password
from gateway.schemas.base import Body, View


class UserView(View):
    id: UUID
    email: str
    name: str
    role: Literal["user", "admin"]
    tier: str
    status: Literal["active", "disabled"]
    created_at: datetime


class ProfileBody(Body):
    """What is left out, or null, stays as it is."""

    name: Name | None = None
    email: Email | None = None
    # Needed where `email` is another address than the account's.
    current_password: Password | None = None


class ChangePasswordBody(Body):
    current_password: Password
    new_password: NewPassword


class DeleteAccountBody(Body):
    password: Password
