"""What a turn writes down: its question, its answer, and what every call it made has cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Literal
from uuid import UUID

from gateway.core.ids import new_id
from gateway.domain.budget import LEASE_SECONDS, BudgetState, Reservation
from gateway.domain.events import MessageStatus
from gateway.domain.messages import Message
from gateway.domain.usage import Usage

UsageKind = Literal["chat", "tool", "embedding", "image", "guard"]


@dataclass(frozen=True, slots=True)
class NewTurn:
    """A question to be written down; without `conversation_id` it starts a conversation.

    `question_id` and `answer_id` are made by the caller. `title`, `model` and `system` go to a new
    conversation (the title also to one that has none yet). `history_limit` counts messages;
    `lease_seconds` is how long the turn may keep its conversation and what it reserved, unless renewed.
    What is reserved (None: nothing) is known by the answer's id.
    """

    user_id: UUID
    question: str
    question_id: UUID
    answer_id: UUID
    conversation_id: UUID | None = None
    parent_id: UUID | None = None
    title: str = ""
    model: str | None = None
    system: str | None = None
    metadata: dict[str, Any] = field(default_factory=dict)
    history_limit: int = 50
    lease_seconds: float = LEASE_SECONDS
    reservation: Reservation | None = None


@dataclass(frozen=True, slots=True)
class OpenedTurn:
    """The conversation as the turn found it; `history` is its branch, oldest first, without the question."""

    conversation_id: UUID
    title: str
    model: str | None
    system: str | None
    parent_id: UUID | None
    lock_token: int
    created_at: datetime
    budget: BudgetState
    history: tuple[Message, ...] = ()


@dataclass(frozen=True, slots=True)
class UsageEntry:
    """One call of a model, tool or guard; `outcome` is `ok` or the code of the error that ended it.

    `id` and `created_at` are made here, so that writing an entry twice leaves one row.
    """

    kind: UsageKind
    model: str
    provider: str
    usage: Usage = field(default_factory=Usage)
    cost_usd: Decimal = Decimal(0)
    outcome: str = "ok"
    latency_ms: int = 0
    id: UUID = field(default_factory=new_id)
    created_at: datetime = field(default_factory=lambda: datetime.now(UTC))


@dataclass(frozen=True, slots=True)
class UsageOwner:
    """On whose account calls go: the user, the key where a service called, and the request."""

    user_id: UUID
    request_id: str
    api_key_id: UUID | None = None
    message_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class FinishedTurn:
    """How a persisted turn ended; `content` is whatever text had arrived."""

    owner: UsageOwner
    conversation_id: UUID
    message_id: UUID
    content: str
    status: MessageStatus
    model: str | None = None
    provider: str | None = None
    finish_reason: str | None = None
    usage: Usage = field(default_factory=Usage)
    cost_usd: Decimal = Decimal(0)
    receipt: dict[str, Any] | None = None
    tool_calls: list[dict[str, Any]] | None = None
    error: dict[str, Any] | None = None
    calls: Sequence[UsageEntry] = ()


def readable_history(roles: Sequence[str], contents: Sequence[str]) -> tuple[Message, ...]:
    """A stored branch, oldest first, as a model should read it.

    A question whose answer has no text goes with it: it failed, was blocked or was called off, and sending
    it again would fail every later turn for the same reason. What comes before the first question (the
    branch is cut to a length) goes too.
    """
    history: list[Message] = []
    for role, content in zip(roles, contents, strict=True):
        if role == "user":
            history.append(Message("user", content))
        elif not history:
            continue
        elif content:
            history.append(Message("assistant", content))
        elif history[-1].role == "user":
            history.pop()
    return tuple(history)
