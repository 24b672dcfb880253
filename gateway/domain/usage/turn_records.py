"""What a turn writes down: its question, its answer, and what every call it made has cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from decimal import Decimal
from types import MappingProxyType
from typing import Any, Literal, NamedTuple
from uuid import UUID

from gateway.core.exceptions import UpstreamReply
from gateway.core.ids import new_id
from gateway.domain.conversations.stored_messages import missing_result, pair_results, unanswered_calls
from gateway.domain.events import MessageStatus
from gateway.domain.messages import Message, ToolCall, VendorData
from gateway.domain.money import Usage
from gateway.domain.usage.budgets import LEASE_SECONDS, BudgetState, Reservation

UsageKind = Literal["chat", "tool", "embedding", "image", "guard"]
# No more rows of a branch are read: it is summarised long before (`agent.context_window.memory`).
MAX_BRANCH_ROWS = 100


@dataclass(frozen=True, slots=True)
class NewTurn:
    """A question to be written down; without `conversation_id` it starts a conversation.

    `question_id` and `answer_id` are made by the caller; where the question is there already (`asked`), its
    id is given and only another answer to it is written down. Without `parent_id` the question follows the
    conversation's head, or nothing where it is `rooted`. `title`, `model` and `system` go to a new
    conversation (the title also to one that has none yet). `history_limit` counts messages;
    `lease_seconds` is how long the turn may keep its conversation and what it reserved, unless renewed.
    `waited`: it has waited for the conversation, and its turn has come; else those that wait go first.
    What is reserved (None: nothing) is known by the answer's id. `request` is kept with the question:
    `messages`, where a model is shown others than its text, and `parameters`.
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
class Branch:
    """What a model should read of the messages before a question, oldest first.

    `summary` stands for all that came before `messages`. A summary of the first n of them belongs to the
    stored message `marks[n]` (`marks[0]` is None where nothing comes before). `rows` is how many stored
    messages were read for it.
    """

    messages: tuple[Message, ...] = ()
    summary: str | None = None
    summary_message_ids: tuple[UUID | None, ...] = (None,)
    row_count: int = 0

    def split_open_exchange(self, question: tuple[Message, ...]) -> tuple[Branch, tuple[Message, ...]]:
        """What comes before, and the question with the calls that it answers and what these were made for.

        So an exchange that is still going on stays whole, however much has to be left out before it.
        """
        open_tool_calls = unanswered_calls(self.messages)
        if not open_tool_calls:
            return self, question
        answered = {message.tool_call_id for message in question if message.role == "tool"}
        missing_results = (missing_result(call) for call in open_tool_calls if call.id not in answered)
        exchange_start = max((index for index, m in enumerate(self.messages) if m.role == "user"), default=0)
        earlier = replace(
            self,
            messages=self.messages[:exchange_start],
            summary_message_ids=self.summary_message_ids[: exchange_start + 1],
        )
        return earlier, (*self.messages[exchange_start:], *missing_results, *question)


@dataclass(frozen=True, slots=True)
class BranchSummary:
    """What stands for a branch up to and including the message."""

    message_id: UUID
    text: str


@dataclass(frozen=True, slots=True)
class ExistingQuestion:
    """A question that was asked before, and where it stands; `messages` is what a model is shown of it."""

    id: UUID
    conversation_id: UUID
    parent_id: UUID | None
    messages: tuple[Message, ...]

    @property
    def text(self) -> str:
        return "\n\n".join(message.text for message in self.messages)


@dataclass(frozen=True, slots=True)
class OpenedTurn:
    """The conversation as the turn found it; `branch` is what comes before the question.

    `untitled`: its title is the beginning of its first question, and no model was asked for a better one.
    """

    conversation_id: UUID
    title: str
    model: str | None
    system: str | None
    parent_id: UUID | None
    lock_token: int
    created_at: datetime
    budget: BudgetState
    branch: Branch = Branch()
    first_exchange: bool = True

    @property
    def history(self) -> tuple[Message, ...]:
        """The messages of the branch."""
        return self.branch.messages


class CloseResult(NamedTuple):
    """How the end of a turn was taken: whether its answer `stands`, and whether others wait for its place."""

    applied: bool
    has_waiters: bool = False


class ConversationLease(NamedTuple):
    """What a running turn holds of its conversation: nobody has taken it over while the token is the same."""

    conversation_id: UUID
    lock_token: int


@dataclass(frozen=True, slots=True)
class UsageEntry:
    """One call of a model, tool or guard; `outcome` is `ok` or the code of the error that ended it.

    `upstream` is what the provider said of a failure, redacted. `step` is what a call of the gateway's own
    was made for, None for the answer itself. `id` and `created_at` are made here, so that writing an entry
    twice leaves one row.
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
    """On whose account calls go: the user, the key where a service called, and the request.

    `request_key` tells requests apart whose clients sent the same id; None leaves that to the id.
    """

    user_id: UUID
    request_id: str
    api_key_id: UUID | None = None
    message_id: UUID | None = None
    request_key: int | None = None


def build_bill(owner: UsageOwner, calls: Sequence[UsageEntry]) -> dict[str, Any]:
    """What is written with a reservation, to be charged if its process dies before it settles."""
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
    """How a persisted turn ended; `content` is whatever text had arrived, in `events` events of its stream.

    `lock_token` is that of `OpenedTurn`: nothing is written over what came after it.
    `summary` is what the turn made of its branch where that had grown too long. `details` are the thoughts
    and the tools' results (`answer_details`).
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


@dataclass(frozen=True, slots=True)
class StoredParts:
    """What a stored message holds beside its text: of a question its messages, of an answer its calls.

    `vendor` is what the answer's vendor wants back with its calls.
    """

    messages: tuple[Message, ...] = ()
    tool_calls: tuple[ToolCall, ...] = ()
    vendor: VendorData | None = None


_NO_PARTS = StoredParts()


def build_branch(
    ids: Sequence[UUID],
    roles: Sequence[str],
    contents: Sequence[str],
    summary: str | None,
    parts: Mapping[int, StoredParts] = MappingProxyType({}),
) -> Branch:
    """A stored branch, oldest first, as a model should read it; `summary` is that of the first message.

    A question whose answer has neither text nor calls goes with it: it failed, was blocked or was called off,
    and sending it again would fail every later turn for the same reason. What comes before the first question
    (the branch is cut to a length) goes too, and so do results whose calls are gone. `beside` is by the place
    in the branch.
    """
    history: list[Message] = []
    preceding_ids: list[UUID | None] = []  # for each of `history`: the stored message that it follows
    last_id: UUID | None = None
    open_question_length = 0  # how many messages the last question is, while it has no answer
    for index, (id_, role, content) in enumerate(zip(ids, roles, contents, strict=True)):
        stored = parts.get(index, _NO_PARTS)
        if index == 0 and summary is not None:
            # The summary speaks of this one too, but not of the calls that the next one may answer.
            messages: tuple[Message, ...] = ()
            if stored.tool_calls:
                messages = (Message("assistant", "", stored.tool_calls, vendor=stored.vendor),)
            last_id = id_
        elif role == "user":
            messages = stored.messages or (Message("user", content),)
        elif history and (content or stored.tool_calls):
            messages = (Message("assistant", content, stored.tool_calls, vendor=stored.vendor),)
        else:
            messages = ()
            del (
                history[len(history) - open_question_length :],
                preceding_ids[len(preceding_ids) - open_question_length :],
            )
        history.extend(messages)
        preceding_ids.extend([last_id] * len(messages))
        open_question_length = len(messages) if role == "user" else 0
        last_id = id_
    if parts:
        pairs = pair_results(history)
        history, preceding_ids = (
            [message for _, message in pairs],
            [preceding_ids[index] for index, _ in pairs],
        )
    return Branch(tuple(history), summary, (*preceding_ids, last_id), len(ids))
