"""API key bodies; only `CreatedApiKeyView` contains the secret."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import AwareDatetime, Field, StringConstraints

from gateway.domain.accounts.principal import Scope
from gateway.schemas.base import Body, Storable, View, bounded_list


class CreateApiKeyBody(Body):
    """Without `scopes` or `models` the key has all.

    `requests_per_minute` can only lower the account's limit.
    """

    name: Annotated[str, StringConstraints(min_length=1, max_length=100, strip_whitespace=True), Storable]
    scopes: Annotated[list[Scope], bounded_list(10, min_items=1)] | None = None
    models: (
        Annotated[
            list[Annotated[str, StringConstraints(min_length=1, max_length=200), Storable]],
            bounded_list(100, min_items=1),
        ]
        | None
    ) = None
    requests_per_minute: Annotated[int, Field(ge=1, le=1_000_000, strict=True)] | None = None
    expires_at: AwareDatetime | None = None


class CreatedApiKeyView(View):
    id: UUID
    name: str
    prefix: str
    secret: str = Field(repr=False, description="shown only once")
    scopes: list[str]
    models: list[str] | None
    expires_at: datetime | None
    created_at: datetime


class ApiKeyView(View):
    id: UUID
    name: str
    prefix: str
    scopes: list[str]
    models: list[str] | None
    requests_per_minute: int | None
    expires_at: datetime | None
    last_used_at: datetime | None
    created_at: datetime


class ApiKeyList(View):
    items: list[ApiKeyView]
