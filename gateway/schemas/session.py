"""Session bodies: the list of sessions, and the console's own session."""

from __future__ import annotations

from datetime import datetime
from typing import Literal
from uuid import UUID

from pydantic import Field

from gateway.schemas.base import View


class SessionView(View):
    id: UUID
    device: str = Field(
        description=("browser or program and operating system, as far as the client sends them")
    )
    user_agent: str | None
    address: str | None
    created_at: datetime
    last_used_at: datetime
    current: bool = Field(description="whether it sent this request")


class SessionList(View):
    items: list[SessionView]


class ConsoleTokenView(View):
    """The console's access token, which expires in `expires_in` seconds.

    The refresh token is in a cookie.
    """

    access_token: str = Field(repr=False)
    token_type: Literal["bearer"] = "bearer"  # noqa: S105 - RFC 6749's token type, not a secret
    expires_in: int


class ConsoleView(View):
    """What the gateway reveals before login."""

    version: str
    sign_up_open: bool
