"""Typed responses of the gateway; unknown fields of later versions are kept."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter


class ResponseModel(BaseModel):
    """Base of all responses: immutable, accepts additional fields."""

    model_config = ConfigDict(extra="allow", frozen=True)


class Usage(ResponseModel):
    """Token counts; answers from a cache have none.

    Cached and cache-write tokens are part of the prompt tokens, reasoning tokens of the completion tokens.
    """

    prompt_tokens: int = 0
    completion_tokens: int = 0
    total_tokens: int = 0
    cached_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0


class Receipt(ResponseModel):
    """How an answer was produced."""

    intent: str = ""
    complexity: float = 0.0
    alias: str = ""
    model: str = ""
    reason: str = ""
    attempts: list[dict[str, Any]] = []
    tools: list[dict[str, Any]] = []
    guardrails: list[dict[str, Any]] = []
    nodes_ms: dict[str, float] = {}
    overhead_ms: float = 0.0


class Message(ResponseModel):
    """A message of a conversation.

    Only a finished answer has the `status` `complete`.
    """

    id: str
    role: str
    content: str
    status: str
    model: str | None = None
    provider: str | None = None
    finish_reason: str | None = None
    created_at: datetime | None = None
    parent_id: str | None = None
    usage: Usage = Usage()
    cost_usd: Decimal = Decimal(0)


class TurnAnswer(ResponseModel):
    """The complete result of a turn."""

    conversation_id: str | None = None
    request_id: str
    cache: str = "bypass"
    message: Message
    receipt: Receipt = Receipt()


class Conversation(ResponseModel):
    id: str
    title: str = ""
    model: str | None = None
    system: str | None = None
    head_id: str | None = None
    messages: list[Message] = []


class Model(ResponseModel):
    """The name of a model or alias."""

    id: str
    owned_by: str = ""


class Completion(ResponseModel):
    """OpenAI's `chat.completion`."""

    id: str
    model: str
    choices: list[dict[str, Any]]
    usage: Usage = Usage()

    @property
    def text(self) -> str:
        """Text of the first choice."""
        return str(self.choices[0]["message"].get("content") or "") if self.choices else ""


class Embedding(ResponseModel):
    index: int
    embedding: list[float]


class Embeddings(ResponseModel):
    model: str
    data: list[Embedding]
    usage: Usage = Usage()


class Generation(ResponseModel):
    """The result of a role.

    `data` is the parsed object if the role has a schema, else None.
    """

    role: str
    task: str | None = None
    mode: str
    model: str
    provider: str
    content: str
    data: Any = None
    usage: Usage = Usage()
    cost_usd: Decimal = Decimal(0)
    request_id: str


class Image(ResponseModel):
    """A stored image.

    `url` is a path of the gateway that requires the same credential.
    """

    id: str
    url: str
    width: int
    height: int
    content_type: str


class Images(ResponseModel):
    images: list[Image]
    provider: str
    model: str
    seed: int | None = None
    cost_usd: Decimal = Decimal(0)
    request_id: str


class TurnStarted(ResponseModel):
    event: Literal["turn"] = "turn"
    conversation_id: str | None = None
    user_message_id: str | None = None
    message_id: str | None = None
    request_id: str


class RouteChosen(ResponseModel):
    event: Literal["route"] = "route"
    intent: str = ""
    complexity: float = 0.0
    model: str
    provider: str
    reason: str = ""


class Delta(ResponseModel):
    event: Literal["delta"] = "delta"
    text: str


class Reasoning(ResponseModel):
    event: Literal["reasoning"] = "reasoning"
    text: str


class ToolCallStarted(ResponseModel):
    event: Literal["tool_call"] = "tool_call"
    id: str
    name: str
    arguments: str


class ToolResult(ResponseModel):
    event: Literal["tool_result"] = "tool_result"
    id: str
    name: str
    ok: bool
    content: str
    ms: float


class Replace(ResponseModel):
    """Discard the text so far; `text` replaces it."""

    event: Literal["replace"] = "replace"
    text: str
    reason: str


class Done(TurnAnswer):
    """The last event: the same result as without streaming."""

    event: Literal["done"] = "done"


TurnEvent = TurnStarted | RouteChosen | Delta | Reasoning | ToolCallStarted | ToolResult | Replace | Done
_EVENT: TypeAdapter[TurnEvent] = TypeAdapter(Annotated[TurnEvent, Field(discriminator="event")])
_EVENTS = frozenset({"turn", "route", "delta", "reasoning", "tool_call", "tool_result", "replace", "done"})


def parse_event(name: str, data: dict[str, Any]) -> TurnEvent | None:
    """Parse the event of an SSE frame; None for unknown events."""
    return _EVENT.validate_python({**data, "event": name}) if name in _EVENTS else None
