"""Bodies of sessions: the list of them, and the console's own."""

from __future__ import annotations

from datetime import datetime
from typing import Literal
from uuid import UUID

from pydantic import Field

from gateway.schemas.base import View


class SessionView(View):
    id: UUID
    device: str = Field(description="browser or program, and system, as far as the client told")
    user_agent: str | None
    address: str | None
    created_at: datetime
    last_used_at: datetime
    current: bool = Field(description="whether this request came from it")


class SessionList(View):
    items: list[SessionView]


class ConsoleTokenView(View):
    """The console's access token; `expires_in` seconds until it is void. The refresh token is in a cookie."""

    access_token: str = Field(repr=False)
    token_type: Literal["bearer"] = "bearer"  # noqa: S105 - RFC 6749's word, no secret
    expires_in: int


class ConsoleView(View):
    """What anybody may know of the gateway before signing in."""

    version: str
    sign_up_open: bool
