"""Accounts, sessions and API keys as the services speak of them, free of tables and of HTTP."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Account:
    """What an account's owner may see of it; `role` is user|admin, `status` active|disabled."""

    id: UUID
    email: str
    name: str
    role: str
    tier: str
    status: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Credentials:
    """What signing in needs to know of an account; never leaves the services."""

    user_id: UUID
    email: str
    password_hash: str = field(repr=False)
    role: str
    tier: str
    status: str
    token_version: int


@dataclass(frozen=True, slots=True)
class AccountState:
    """What every request has to know of its account; an access token of another `token_version` is void."""

    role: str
    tier: str
    status: str
    token_version: int


@dataclass(frozen=True, slots=True)
class ApiKeyGrant:
    """What a live API key allows; `models` is None for all of them, `expires_at` in Unix seconds."""

    key_id: UUID
    user_id: UUID
    scopes: frozenset[str]
    models: frozenset[str] | None
    requests_per_minute: int | None
    expires_at: float | None


@dataclass(frozen=True, slots=True)
class ApiKeyInfo:
    """What an API key's owner may see of it."""

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
    """A stored refresh token, as far as spending it needs to know it.

    `heir` is the hash of its successor, where this one was spent a moment ago and that one is unspent.
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
    """Where an account is signed in: what its owner may see of a family of refresh tokens."""

    id: UUID
    user_agent: str | None
    address: str | None
    created_at: datetime
    last_used_at: datetime


@dataclass(frozen=True, slots=True)
class TokenPair:
    """The tokens of a session; `expires_in` seconds until the access token is void."""

    access_token: str = field(repr=False)
    refresh_token: str = field(repr=False)
    expires_in: int


@dataclass(frozen=True, slots=True)
class ClientDevice:
    """Where a sign-in came from, as the client and the network tell it."""

    user_agent: str | None = None
    ip: str | None = None
