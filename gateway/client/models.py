"""The gateway's answers as types; fields that a later gateway adds are kept and ignored."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter


class ResponseModel(BaseModel):
    """Base of all answers: frozen, open for what is new."""

    model_config = ConfigDict(extra="allow", frozen=True)


class Usage(ResponseModel):
    """Tokens; an answer out of a cache has none.

    Cached and cache-write tokens are part of the prompt, reasoning tokens part of the completion.
    """

    prompt_tokens: int = 0
    completion_tokens: int = 0
    total_tokens: int = 0
    cached_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0


class Receipt(ResponseModel):
    """How an answer came about."""

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
    """One message of a conversation; `status` of an answer is `complete` only where it was finished."""

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
    """A whole turn."""

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
    """A name that may be asked for."""

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
        """The first choice's text."""
        return str(self.choices[0]["message"].get("content") or "") if self.choices else ""


class Embedding(ResponseModel):
    index: int
    embedding: list[float]


class Embeddings(ResponseModel):
    model: str
    data: list[Embedding]
    usage: Usage = Usage()


class Generation(ResponseModel):
    """What a role said; `data` is the object where the role has a schema, else None."""

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
    """A stored picture; `url` is a path of the gateway that asks for the same credential."""

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
    """Forget the text so far; `text` stands instead."""

    event: Literal["replace"] = "replace"
    text: str
    reason: str


class Done(TurnAnswer):
    """The last event: the whole answer, as a call without a stream would have given it."""

    event: Literal["done"] = "done"


TurnEvent = TurnStarted | RouteChosen | Delta | Reasoning | ToolCallStarted | ToolResult | Replace | Done
_EVENT: TypeAdapter[TurnEvent] = TypeAdapter(Annotated[TurnEvent, Field(discriminator="event")])
_EVENTS = frozenset({"turn", "route", "delta", "reasoning", "tool_call", "tool_result", "replace", "done"})


def parse_event(name: str, data: dict[str, Any]) -> TurnEvent | None:
    """The event of a frame; None for one that this client does not know."""
    return _EVENT.validate_python({**data, "event": name}) if name in _EVENTS else None
