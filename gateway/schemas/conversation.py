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
        raise ValueError("A title is one line of text with something in it.")
    return title


Title = Annotated[str, Field(max_length=200), AfterValidator(_one_line)]
Model = Annotated[str, Field(max_length=200, description="A model, an alias or `auto`.")]
System = Annotated[str, Field(max_length=100_000, description="The system prompt of its turns.")]


class ConversationCreate(Body):
    """A conversation to be filled; without a title it takes one from its first message."""

    title: Title | None = None
    model: Model | None = None
    system: System | None = None


class ConversationPatch(Body):
    """What is to change; what is left out stays. `title` and `head_id` cannot be null."""

    title: Title = ""
    model: Model | None = None
    system: System | None = None
    head_id: Annotated[
        str,
        Field(description="A message of the branch to read; the newest that follows it becomes its head."),
    ] = ""

    def changes(self) -> dict[str, Any]:
        """The columns to set. Raises NotFound for a `head_id` that is no id."""
        fields = self.model_dump(exclude_unset=True)
        if "head_id" in fields:
            fields["head_id"] = parse_id(fields["head_id"])
        return fields


class UsageOut(View):
    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    cached_tokens: int = Field(description="of the prompt: read from the provider's cache")
    cache_write_tokens: int = Field(description="of the prompt: written to the provider's cache")
    reasoning_tokens: int = Field(description="of the completion: the model's thinking")

    @classmethod
    def of(cls, usage: Usage) -> UsageOut:
        return cls.model_construct(_fields_set=None, **usage.as_json())


class ToolRunOut(View):
    """One call of a gateway's tool; `ok`, `ms` and `content` are null where the turn ended before it did."""

    id: str
    name: str
    arguments: str
    ok: bool | None
    ms: float | None
    content: str | None


class DetailsOut(View):
    """What the answer's stream showed beside its text."""

    reasoning: str = Field(description="The model's thoughts; empty where it showed none.")
    tools: list[ToolRunOut] = Field(description="The calls of the gateway's tools, in their order.")
    truncated: bool = Field(
        description="Together they were longer than 64 KiB: the longest texts were cut and end with ` […]`."
    )


class MessageOut(View):
    """One message, as in the answer of a turn; `cost_usd` is a decimal string of US dollars."""

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
    request_id: str | None = Field(description="of the request that an answer was made for; it is in the log")
    tool_calls: list[Any] | None
    error: dict[str, Any] | None
    details: DetailsOut | None = Field(description="null of questions, and of answers that had none")
    metadata: dict[str, Any]

    @classmethod
    def of(cls, message: StoredMessage) -> MessageOut:
        """The wire's form of a stored message; what the database holds needs no second validation."""
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
    """A message of the branch being read, and which others stand in the same place."""

    siblings: list[UUID] = Field(
        description="All messages that follow the same one, this one among them, oldest first: more than one "
        "where a question was edited or an answer regenerated. PATCH the conversation's `head_id` with one "
        "to read its branch."
    )

    @classmethod
    def of_branch(cls, message: BranchMessage) -> BranchMessageOut:
        """The same of a message that was read with its branch."""
        return cls.model_construct(**dict(MessageOut.of(message)), siblings=list(message.siblings))


class ConversationOut(View):
    """One conversation; `running_message_id` is the answer being written, null where none is."""

    id: UUID
    title: str
    model: str | None
    system: str | None
    head_id: UUID | None
    running_message_id: UUID | None
    created_at: datetime
    updated_at: datetime


class HitOut(View):
    """The newest message with the words that were searched for, and what stands around them."""

    message_id: UUID
    before: str
    match: str
    after: str


class ConversationListed(ConversationOut):
    """One of a list; `hit` is null without a search, and where only the title has the words."""

    hit: HitOut | None = None


class ConversationRead(ConversationOut):
    """A conversation with the branch being read, oldest message first."""

    messages: list[BranchMessageOut]


class ConversationPage(View):
    items: list[ConversationListed]
    next_cursor: str | None


class MessagePage(View):
    items: list[MessageOut]
    next_cursor: str | None
