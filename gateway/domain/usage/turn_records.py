"""What a turn writes: its question, its answer and its usage records."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Literal, NamedTuple
from uuid import UUID

from gateway.core.exceptions import UpstreamReply
from gateway.core.ids import new_id
from gateway.domain.conversations.branch import MAX_BRANCH_ROWS, Branch, BranchSummary
from gateway.domain.events import MessageStatus
from gateway.domain.messages import Message
from gateway.domain.money import Usage
from gateway.domain.usage.budgets import LEASE_SECONDS, BudgetState, Reservation

UsageKind = Literal["chat", "tool", "embedding", "image", "guard"]


@dataclass(frozen=True, slots=True)
class NewTurn:
    """A question to persist; without `conversation_id` it starts a conversation.

    The caller creates `question_id` and `answer_id`; for `is_regeneration` the question exists, and only
    another answer is written. Without `parent_id` the question follows the conversation's head, or has no
    parent if `as_root`. `title`, `model` and `system` apply to a new conversation (the title also to one
    without a title). `history_limit` counts messages. `lease_seconds` is how long the turn holds its
    conversation and reservation unless they are renewed. `from_queue`: the turn waited for the conversation
    and is next; otherwise queued turns go first. The reservation has the answer's id; None reserves nothing.
    `request` is stored with the question: `messages` if the model sees others than its text, and
    `parameters`.
    """

    user_id: UUID
    question: str
    question_id: UUID
    answer_id: UUID
    conversation_id: UUID | None = None
    parent_id: UUID | None = None
    as_root: bool = False
    is_regeneration: bool = False
    title: str = ""
    model: str | None = None
    system: str | None = None
    metadata: dict[str, Any] = field(default_factory=dict)
    history_limit: int = MAX_BRANCH_ROWS
    lease_seconds: float = LEASE_SECONDS
    reservation: Reservation | None = None
    request: dict[str, Any] | None = None
    from_queue: bool = False


@dataclass(frozen=True, slots=True)
class ExistingQuestion:
    """A persisted question to answer again; `messages` is what a model sees of it."""

    id: UUID
    conversation_id: UUID
    parent_id: UUID | None
    messages: tuple[Message, ...]

    @property
    def text(self) -> str:
        return "\n\n".join(message.text for message in self.messages)


@dataclass(frozen=True, slots=True)
class OpenedTurn:
    """The conversation when the turn was opened; `branch` precedes the question.

    `first_exchange`: the title is the start of the first question and has not been generated yet.
    """

    conversation_id: UUID
    title: str
    model: str | None
    system: str | None
    parent_id: UUID | None
    lock_token: int
    created_at: datetime
    budget: BudgetState
    branch: Branch = field(default_factory=Branch)
    first_exchange: bool = True

    @property
    def history(self) -> tuple[Message, ...]:
        """Return the messages of the branch."""
        return self.branch.messages


class CloseResult(NamedTuple):
    """Whether closing a turn was applied, and whether others wait for its conversation."""

    applied: bool
    has_waiters: bool = False


class ConversationLease(NamedTuple):
    """A running turn's lease on its conversation, valid while the token is unchanged."""

    conversation_id: UUID
    lock_token: int


@dataclass(frozen=True, slots=True)
class UsageEntry:
    """One call of a model, tool or guard; `outcome` is `ok` or an error code.

    `upstream_reply` is the provider's redacted error. `step` is the purpose of an auxiliary call, None for
    the answer. `id` and `created_at` are set on creation, so that writing a record twice stores it once.
    """

    kind: UsageKind
    model: str
    provider: str
    usage: Usage = field(default_factory=Usage)
    cost_usd: Decimal = Decimal(0)
    outcome: str = "ok"
    latency_ms: int = 0
    upstream_reply: UpstreamReply | None = None
    step: str | None = None
    id: UUID = field(default_factory=new_id)
    created_at: datetime = field(default_factory=lambda: datetime.now(UTC))


@dataclass(frozen=True, slots=True)
class UsageOwner:
    """Who is charged: the account, the API key if one was used, and the request.

    `request_key` distinguishes requests whose clients sent the same id; None relies on the id.
    """

    user_id: UUID
    request_id: str
    api_key_id: UUID | None = None
    message_id: UUID | None = None
    request_key: int | None = None


def build_bill(owner: UsageOwner, calls: Sequence[UsageEntry]) -> dict[str, Any]:
    """Return what is stored with a reservation and charged if its process dies."""
    return {
        "request_id": owner.request_id,
        "api_key_id": owner.api_key_id,
        "message_id": owner.message_id,
        "request_key": owner.request_key,
        "calls": [
            {
                "id": call.id,
                "created_at": call.created_at,
                "kind": call.kind,
                "model": call.model,
                "provider": call.provider,
                "prompt_tokens": call.usage.prompt_tokens,
                "completion_tokens": call.usage.completion_tokens,
                "cost_usd": str(call.cost_usd),
                "outcome": call.outcome,
                "latency_ms": call.latency_ms,
                "step": call.step,
            }
            for call in calls
        ],
    }


@dataclass(frozen=True, slots=True)
class FinishedTurn:
    """The end of a persisted turn.

    `content` is the text received in `events` stream events.

    `lock_token` is that of `OpenedTurn`: newer data is never overwritten. `summary` is set if the branch had
    grown too long. `details` are reasoning and tool results (`answer_details`).
    """

    owner: UsageOwner
    conversation_id: UUID
    message_id: UUID
    content: str
    status: MessageStatus
    lock_token: int
    events: int = 0
    model: str | None = None
    provider: str | None = None
    finish_reason: str | None = None
    usage: Usage = field(default_factory=Usage)
    cost_usd: Decimal = Decimal(0)
    receipt: dict[str, Any] | None = None
    tool_calls: list[dict[str, Any]] | None = None
    error: dict[str, Any] | None = None
    calls: Sequence[UsageEntry] = ()
    summary: BranchSummary | None = None
    details: dict[str, Any] | None = None
