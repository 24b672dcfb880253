"""Accounts, sessions and API keys, independent of database and HTTP."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Account:
    """An account as shown to its owner.

    `role` is user|admin, `status` active|disabled.
    """

    id: UUID
    email: str
    name: str
    role: str
    tier: str
    status: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Credentials:
    """The fields of an account that authentication reads; never part of a response."""

    user_id: UUID
    email: str
    password_hash: str = field(repr=False)
    role: str
    tier: str
    status: str
    token_version: int


@dataclass(frozen=True, slots=True)
class AccountState:
    """Account state checked on every request.

    Access tokens with another `token_version` are invalid.
    """

    role: str
    tier: str
    status: str
    token_version: int


@dataclass(frozen=True, slots=True)
class ApiKeyGrant:
    """What an active API key permits.

    `models` None means all, `expires_at` is in Unix seconds.
    """

    key_id: UUID
    user_id: UUID
    scopes: frozenset[str]
    models: frozenset[str] | None
    requests_per_minute: int | None
    expires_at: float | None


@dataclass(frozen=True, slots=True)
class ApiKeyInfo:
    """An API key as shown to its owner."""

    id: UUID
    name: str
    prefix: str
    scopes: tuple[str, ...]
    models: tuple[str, ...] | None
    requests_per_minute: int | None
    expires_at: datetime | None
    last_used_at: datetime | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class RefreshTokenState:
    """The state of a stored refresh token.

    `successor_hash` is set if the token was used within the grace period and its successor is unused.
    """

    id: UUID
    user_id: UUID
    family_id: UUID
    started_at: datetime
    expired: bool
    used: bool
    revoked: bool
    successor_hash: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Session:
    """A session as shown to its owner: one family of refresh tokens."""

    id: UUID
    user_agent: str | None
    address: str | None
    created_at: datetime
    last_used_at: datetime


@dataclass(frozen=True, slots=True)
class TokenPair:
    """The tokens of a session; the access token expires in `expires_in` seconds."""

    access_token: str = field(repr=False)
    refresh_token: str = field(repr=False)
    expires_in: int


@dataclass(frozen=True, slots=True)
class ClientDevice:
    """Where a login came from, as reported by the client and the network."""

    user_agent: str | None = None
    ip: str | None = None
