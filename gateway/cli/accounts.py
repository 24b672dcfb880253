"""Accounts and keys on the command line, through the same services as the API."""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from sqlalchemy import text

from gateway.cli.errors import OperatorError
from gateway.core.exceptions import EmailTaken, NotFound
from gateway.core.settings import Settings

if TYPE_CHECKING:
    from gateway.bootstrap.container import Container

T = TypeVar("T")

FIRST_ADMIN = "admin@gateway.localhost"
# An advisory lock that nothing else uses, so that two concurrent first starts do not create two admins.
_FIRST_ACCOUNT_LOCK = 0x6669727374


@dataclass(frozen=True, slots=True)
class FirstAccount:
    """The account created by the first start, shown once."""

    email: str
    password: str
    api_key: str


def create_admin(settings: Settings, email: str, password: str) -> str:
    """Create an administrator and return the password, generated if none is given."""
    used = password or secrets.token_urlsafe(15)

    async def create(container: Container) -> None:
        try:
            await container.accounts.users.create_admin(email, used)
        except EmailTaken:
            raise OperatorError(
                f"The account {email} already exists. Run `gateway admin password --email {email}` to set a "
                "new password."
            ) from None

    _with_container(settings, create)
    return used


def set_password(settings: Settings, email: str, password: str) -> str:
    """Set an account's password, generated if none is given, and revoke its sessions."""
    used = password or secrets.token_urlsafe(15)

    async def change(container: Container) -> None:
        try:
            await container.accounts.users.set_password(email, used)
        except NotFound:
            raise OperatorError(
                f"There is no account {email}. Run `gateway admin create --email {email}` to create "
                f"an administrator."
            ) from None

    _with_container(settings, change)
    return used


def create_key(settings: Settings, email: str, name: str) -> str:
    """Create an API key for an account and return its secret."""

    async def create(container: Container) -> str:
        try:
            owner = await container.accounts.users.find_by_email(email)
        except NotFound:
            raise OperatorError(f"There is no account {email}.") from None
        _, secret = await container.accounts.api_keys.create(owner.id, name=name)
        return secret

    return _with_container(settings, create)


def create_first_account(settings: Settings) -> FirstAccount | None:
    """Create an administrator and a key if there are no accounts yet.

    Otherwise return None.
    """

    async def create(container: Container) -> FirstAccount | None:
        async with container.engine.connect() as connection:
            await connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _FIRST_ACCOUNT_LOCK})
            if await container.accounts.users.count():
                return None
            email = os.environ.get("ADMIN_EMAIL") or FIRST_ADMIN
            password = os.environ.get("ADMIN_PASSWORD") or secrets.token_urlsafe(15)
            account = await container.accounts.users.create_admin(email, password)
            _, secret = await container.accounts.api_keys.create(account.id, name="first key")
            return FirstAccount(account.email, password, secret)

    return _with_container(settings, create)


def _with_container(settings: Settings, work: Callable[[Container], Awaitable[T]]) -> T:
    # Importing all of the gateway takes two seconds: a mistake in the settings is reported before that.
    from gateway.bootstrap.container import open_container

    async def run() -> T:
        async with open_container(settings) as container:
            return await work(container)

    return asyncio.run(run())
