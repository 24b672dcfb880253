"""The authenticated caller of a request: an account, and how it authenticated."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal
from uuid import UUID

from gateway.domain.usage.budgets import CallerLimits

Scope = Literal["chat", "models", "embeddings", "images", "usage"]
ALL_SCOPES: frozenset[str] = frozenset({"chat", "models", "embeddings", "images", "usage"})


@dataclass(frozen=True, slots=True)
class Principal:
    """The caller of a request.

    `kind` is `user` (an access token) or `api_key`. `models` None means that every model is allowed.
    `api_key_id` and `scopes` apply to API keys only; users have every scope. `limits` collects the values of
    the rate limit headers.
    """

    user_id: UUID
    kind: Literal["user", "api_key"]
    role: Literal["user", "admin"] = "user"
    tier: str = "free"
    api_key_id: UUID | None = None
    scopes: frozenset[str] = ALL_SCOPES
    models: frozenset[str] | None = None
    requests_per_minute: int | None = None
    session_id: UUID | None = None
    limits: CallerLimits = field(default_factory=CallerLimits, compare=False, repr=False)

    @property
    def is_admin(self) -> bool:
        return self.role == "admin" and self.kind == "user"
