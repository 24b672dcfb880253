"""Conversations and messages, as they are stored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from gateway.domain.money import Usage

# The key of a stored receipt that holds the id of its request.
REQUEST_ID = "request_id"
# Characters that a search result shows on each side of the match.
EXCERPT_CHARACTERS = 60


@dataclass(frozen=True, slots=True)
class Conversation:
    """A conversation.

    `head_id` is the last message of the current branch. `running_message_id` is the answer being written.
    """

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
    """The position of a search match in a message, with the text around it."""

    message_id: UUID
    before: str
    match: str
    after: str

    @classmethod
    def excerpt(cls, message_id: UUID, before: str, match: str, after: str) -> SearchHit:
        """Create a hit from up to `EXCERPT_CHARACTERS + 1` characters per side.

        Longer sides are cut at a word.
        """
        if len(before) > EXCERPT_CHARACTERS:
            before = "…" + (before.split(maxsplit=1)[-1] if " " in before else before[1:])
        if len(after) > EXCERPT_CHARACTERS:
            after = (after.rsplit(maxsplit=1)[0] if " " in after else after[:-1]) + "…"
        return cls(message_id, before, match, after)


@dataclass(frozen=True, slots=True)
class ConversationMatch(Conversation):
    """A search result.

    `hit` is the newest message that matches, or None if only the title does.
    """

    hit: SearchHit | None = field(kw_only=True)


@dataclass(frozen=True, slots=True)
class StoredMessage:
    """A message; `parent_id` is the one before it, None for the first of a branch.

    `summary` may replace the branch up to and including this message in a prompt. `request` is what a
    program's question contains beyond its text. `events` is how many events of its stream `content` covers,
    without the last one (`done` or `error`); 0 if unknown. `details` are an answer's reasoning and tool
    results (`answer_details`).
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
        """The request that produced this answer; None for questions."""
        return (self.receipt or {}).get(REQUEST_ID)

    @property
    def public_receipt(self) -> dict[str, Any] | None:
        """The receipt as the turn's own response contained it."""
        if self.receipt is None:
            return None
        return {name: value for name, value in self.receipt.items() if name != REQUEST_ID}

    @property
    def usage(self) -> Usage:
        """The answer's tokens; cached and reasoning tokens are read from its receipt."""
        calls = [call.get("usage") or {} for call in (self.receipt or {}).get("attempts", ())]
        cached, written, reasoning = (
            sum(call.get(name, 0) for call in calls)
            for name in ("cached_tokens", "cache_write_tokens", "reasoning_tokens")
        )
        return Usage(self.prompt_tokens, self.completion_tokens, cached, written, reasoning)


@dataclass(frozen=True, slots=True)
class BranchMessage(StoredMessage):
    """A message of a branch.

    `siblings` are all messages with its parent, itself included, oldest first.
    """

    siblings: Sequence[UUID]
