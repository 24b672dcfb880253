"""Conversations and messages as they are kept, for whoever reads them back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from gateway.domain.money import Usage

# Where a stored receipt says which request it is of.
REQUEST_ID = "request_id"
# Characters that a search shows on each side of the words it found.
EXCERPT_CHARACTERS = 60


@dataclass(frozen=True, slots=True)
class Conversation:
    """`head_id` ends the branch being read; `running_message_id` is an answer being written."""

    id: UUID
    title: str
    model: str | None
    system: str | None
    head_id: UUID | None
    running_message_id: UUID | None
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class SearchHit:
    """Where the words of a search stand in a message: the words, and a line's length around them."""

    message_id: UUID
    before: str
    match: str
    after: str

    @classmethod
    def excerpt(cls, message_id: UUID, before: str, match: str, after: str) -> SearchHit:
        """From up to `EXCERPT + 1` characters on each side; a longer side is cut at a word, with `…`."""
        if len(before) > EXCERPT_CHARACTERS:
            before = "…" + (before.split(maxsplit=1)[-1] if " " in before else before[1:])
        if len(after) > EXCERPT_CHARACTERS:
            after = (after.rsplit(maxsplit=1)[0] if " " in after else after[:-1]) + "…"
        return cls(message_id, before, match, after)


@dataclass(frozen=True, slots=True)
class ConversationMatch(Conversation):
    """One of a search; `hit` is the newest message with the words, None where only the title has them."""

    hit: SearchHit | None = field(kw_only=True)


@dataclass(frozen=True, slots=True)
class StoredMessage:
    """One message; `parent_id` is the one it follows, None for the first of a branch.

    `summary` is what a model may be shown in place of the branch up to and including it. `request` is what a
    program asked beyond a question's text. `events` is how many events of its stream `content` stands for,
    the last one (`done` or `error`) not among them; 0 where that is not known. `details` are what an
    answer was shown with: the model's thoughts and the tools' results (`answer_details`).
    """

    id: UUID
    parent_id: UUID | None
    role: str
    content: str
    status: str
    model: str | None
    provider: str | None
    finish_reason: str | None
    prompt_tokens: int
    completion_tokens: int
    cost_usd: Decimal
    receipt: dict[str, Any] | None
    tool_calls: list[Any] | None
    error: dict[str, Any] | None
    metadata: dict[str, Any]
    details: dict[str, Any] | None
    created_at: datetime
    summary: str | None
    request: dict[str, Any] | None
    events: int

    @property
    def request_id(self) -> str | None:
        """The request that this answer was made for; None of questions and where there is no receipt."""
        return (self.receipt or {}).get(REQUEST_ID)

    @property
    def public_receipt(self) -> dict[str, Any] | None:
        """The receipt as the turn's own answer had it."""
        if self.receipt is None:
            return None
        return {name: value for name, value in self.receipt.items() if name != REQUEST_ID}

    @property
    def usage(self) -> Usage:
        """The answer's tokens; how many of them were cached or reasoning is read from its receipt."""
        calls = [call.get("usage") or {} for call in (self.receipt or {}).get("attempts", ())]
        cached, written, reasoning = (
            sum(call.get(name, 0) for call in calls)
            for name in ("cached_tokens", "cache_write_tokens", "reasoning_tokens")
        )
        return Usage(self.prompt_tokens, self.completion_tokens, cached, written, reasoning)


@dataclass(frozen=True, slots=True)
class BranchMessage(StoredMessage):
    """One of a branch; `siblings` are all that follow the same message, itself among them, oldest first."""

    siblings: Sequence[UUID]
