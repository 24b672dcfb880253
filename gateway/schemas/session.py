"""Bodies of the list of sessions."""

from __future__ import annotations

from datetime import datetime
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
