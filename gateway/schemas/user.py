"""Bodies of an account's own profile."""

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
    """Fields that are omitted or null stay unchanged."""

    name: Name | None = None
    email: Email | None = None
    # Required if `email` differs from the account's current address.
    current_password: Password | None = None


class ChangePasswordBody(Body):
    current_password: Password
    new_password: NewPassword


class DeleteAccountBody(Body):
    password: Password
