"""Bodies of `/api/conversations`."""

from __future__ import annotations

import unicodedata
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import AfterValidator, Field

from gateway.core.ids import parse_id
from gateway.domain.conversations.models import BranchMessage, StoredMessage
from gateway.domain.conversations.stored_messages import public_calls
from gateway.domain.money import Usage, format_usd
from gateway.schemas.base import Body, View


def _one_line(title: str) -> str:
    title = " ".join(title.split())
    if not title or any(unicodedata.category(character) == "Cc" for character in title):
        raise ValueError("A title is one non-empty line of text.")
    return title


Title = Annotated[str, Field(max_length=200), AfterValidator(_one_line)]
Model = Annotated[str, Field(max_length=200, description="A model, an alias or `auto`.")]
System = Annotated[str, Field(max_length=100_000, description="The system prompt of its turns.")]


class ConversationCreate(Body):
    """A new conversation; without a title it gets one from its first message."""

    title: Title | None = None
    model: Model | None = None
    system: System | None = None


class ConversationPatch(Body):
    """Fields to change; omitted fields stay unchanged.

    `title` and `head_id` cannot be null.
    """

    title: Title = ""
    model: Model | None = None
    system: System | None = None
    head_id: Annotated[
        str,
        Field(description="A message of the branch to read; its newest descendant becomes the head."),
    ] = ""

    def changes(self) -> dict[str, Any]:
        """Return the columns to set. Raises NotFound if `head_id` is malformed."""
        fields = self.model_dump(exclude_unset=True)
        if "head_id" in fields:
            fields["head_id"] = parse_id(fields["head_id"])
        return fields


class UsageOut(View):
    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    cached_tokens: int = Field(description="part of the prompt: read from the provider's cache")
    cache_write_tokens: int = Field(description="part of the prompt: written to the provider's cache")
    reasoning_tokens: int = Field(description="part of the completion: the model's reasoning")

    @classmethod
    def of(cls, usage: Usage) -> UsageOut:
        return cls.model_construct(_fields_set=None, **usage.as_json())


class ToolRunOut(View):
    """One gateway tool call.

    `ok`, `ms` and `content` are null if the turn ended before it finished.
    """

    id: str
    name: str
    arguments: str
    ok: bool | None
    ms: float | None
    content: str | None


class DetailsOut(View):
    """What the answer's stream contained besides its text."""

    reasoning: str = Field(description="The model's reasoning; empty if it returned none.")
    tools: list[ToolRunOut] = Field(description="The gateway tool calls, in order.")
    truncated: bool = Field(
        description="Together they exceeded 64 KiB: the longest texts were truncated and end with ` […]`."
    )


class MessageOut(View):
    """One message, as in a turn's answer.

    `cost_usd` is a decimal string of US dollars.
    """

    id: UUID
    parent_id: UUID | None
    role: str
    content: str
    status: str
    model: str | None
    provider: str | None
    finish_reason: str | None
    created_at: datetime
    usage: UsageOut
    cost_usd: str
    receipt: dict[str, Any] | None
    request_id: str | None = Field(description="the request that created the answer; it is in the log")
    tool_calls: list[Any] | None
    error: dict[str, Any] | None
    details: DetailsOut | None = Field(description="null for questions, and for answers without details")
    metadata: dict[str, Any]

    @classmethod
    def of(cls, message: StoredMessage) -> MessageOut:
        """Convert a stored message; database content needs no second validation."""
        return cls.model_construct(
            id=message.id,
            parent_id=message.parent_id,
            role=message.role,
            content=message.content,
            status=message.status,
            model=message.model,
            provider=message.provider,
            finish_reason=message.finish_reason,
            created_at=message.created_at,
            usage=UsageOut.of(message.usage),
            cost_usd=format_usd(message.cost_usd),
            receipt=message.public_receipt,
            request_id=message.request_id,
            tool_calls=public_calls(message.tool_calls),
            error=message.error,
            details=DetailsOut.model_validate(message.details) if message.details is not None else None,
            metadata=message.metadata,
        )


class BranchMessageOut(MessageOut):
    """A message of the selected branch and its siblings."""

    siblings: list[UUID] = Field(
        description=(
            "All messages with the same parent, including this one, oldest first: more than "
            "one if a question was edited or an answer regenerated. PATCH the conversation's "
            "`head_id` with one of them to read its branch."
        )
    )

    @classmethod
    def of_branch(cls, message: BranchMessage) -> BranchMessageOut:
        """Convert a message read with its branch."""
        return cls.model_construct(**dict(MessageOut.of(message)), siblings=list(message.siblings))


class ConversationOut(View):
    """One conversation; `running_message_id` is the answer being written, or null."""

    id: UUID
    title: str
    model: str | None
    system: str | None
    head_id: UUID | None
    running_message_id: UUID | None
    created_at: datetime
    updated_at: datetime


class HitOut(View):
    """The newest message that matches the search, and the text around the match."""

    message_id: UUID
    before: str
    match: str
    after: str


class ConversationListed(ConversationOut):
    """A listed conversation.

    `hit` is null without a search, or if only the title matches.
    """

    hit: HitOut | None = None


class ConversationRead(ConversationOut):
    """A conversation with the selected branch, oldest message first."""

    messages: list[BranchMessageOut]


class ConversationPage(View):
    items: list[ConversationListed]
    next_cursor: str | None


class MessagePage(View):
    items: list[MessageOut]
    next_cursor: str | None
