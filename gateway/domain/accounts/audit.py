"""Audit records."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

Action = Literal[
    "user.changed",
    "user.deleted",
    "email.changed",
    "password.changed",
    "password.reset",
    "sessions.ended",
    "api_key.created",
    "api_key.revoked",
    "admin.created",
    "configuration.reloaded",
    "configuration.rejected",
]
TargetType = Literal["user", "api_key", "session", "configuration"]


@dataclass(frozen=True, slots=True)
class AuditRecord:
    """One audited action; `actor_id` is None for the CLI and deleted accounts."""

    id: UUID
    actor_id: UUID | None
    action: str
    target_type: str
    target_id: UUID | None
    details: dict[str, Any]
    ip: str | None
    request_id: str | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class AuditNames:
    """Current names for ids in the audit log, of accounts (e-mail) and API keys."""

    accounts: Mapping[UUID, str]
    keys: Mapping[UUID, str]
