"""The event stream from providers through the graph to the dialects.

A provider yields `TextDelta | ReasoningDelta | ToolCallDelta | MessageFields` and ends a complete answer
with exactly one `Completed`. The graph adds the rest. A turn's stream begins with `TurnStarted` and ends with
exactly one `TurnCompleted` or `TurnFailed`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal

from gateway.core.exceptions import GatewayError, UpstreamReply
from gateway.domain.circuit_breaker import BreakerState
from gateway.domain.intent import ClassifiedBy
from gateway.domain.messages import ToolCall, VendorData
from gateway.domain.money import Usage, format_usd

FinishReason = Literal["stop", "length", "tool_calls", "content_filter"]
MessageStatus = Literal["pending", "streaming", "complete", "failed", "cancelled", "interrupted"]
CacheResult = Literal["hit", "semantic", "miss", "bypass"]
# The purpose of a model call.
CallPurpose = Literal["answer", "intent", "moderation", "summary", "title"]


@dataclass(frozen=True, slots=True)
class TextDelta:
    """More of the answer.

    `logprobs` holds OpenAI's token entries if they were requested.

    `refusal`: the vendor marks the text as the model's refusal to answer.
    """

    text: str
    logprobs: tuple[dict[str, Any], ...] = ()
    refusal: bool = False


@dataclass(frozen=True, slots=True)
class ReasoningDelta:
    """More of the model's reasoning, which is not part of the answer."""

    text: str


@dataclass(frozen=True, slots=True)
class ToolCallDelta:
    """A part of a tool call: the first of an `index` has `id` and `name`, later ones only arguments.

    `extra` holds further fields of OpenAI's tool call, which clients see and send back.
    """

    index: int
    id: str | None = None
    name: str | None = None
    arguments: str = ""
    extra: Mapping[str, Any] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True)
class MessageFields:
    """Further fields of OpenAI's message or delta, such as `annotations`, for clients that know them."""

    fields: Mapping[str, Any] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True)
class VendorResponse:
    """The vendor's id of an answer and its name of the model.

    None if it sends neither.
    """

    id: str | None = None
    model: str | None = None


@dataclass(frozen=True, slots=True)
class Completed:
    """The provider's end marker; a stream without one was interrupted.

    `usage` is None if the provider did not report it; the gateway then estimates. `vendor` is what the vendor
    requires back with this answer. `response` identifies it in traces.
    """

    finish_reason: FinishReason = "stop"
    usage: Usage | None = None
    vendor: VendorData | None = field(default=None, compare=False)
    response: VendorResponse | None = field(default=None, compare=False)


ProviderEvent = TextDelta | ReasoningDelta | ToolCallDelta | MessageFields | Completed


def output_text(event: ProviderEvent) -> str:
    """What the model generated in this event: text, reasoning, a tool call's name and arguments."""
    if isinstance(event, TextDelta | ReasoningDelta):
        return event.text
    return (event.name or "") + event.arguments if isinstance(event, ToolCallDelta) else ""


@dataclass(frozen=True, slots=True)
class TurnStarted:
    """The first event; its ids are None if the turn is not persisted."""

    request_id: str
    conversation_id: str | None = None
    user_message_id: str | None = None
    message_id: str | None = None


@dataclass(frozen=True, slots=True)
class RouteChosen:
    """Which model answers, and why; sent again after a fallback. `complexity` is 0..1."""

    intent: str
    complexity: float
    model: str
    provider: str
    reason: str


@dataclass(frozen=True, slots=True)
class ToolStarted:
    call: ToolCall


@dataclass(frozen=True, slots=True)
class ToolFinished:
    """`cost_usd` is what the tool itself has charged; clients find it in the receipt."""

    id: str
    name: str
    ok: bool
    content: str
    ms: float
    cost_usd: Decimal = Decimal(0)


@dataclass(frozen=True, slots=True)
class TextReplaced:
    """Replaces the text so far with `text`."""

    text: str
    reason: str


@dataclass(frozen=True, slots=True)
class ModelCall:
    """One request to an upstream.

    `outcome` is `ok`, `cancelled` or the code of the error that ended it.

    `step` is its purpose: the answer itself, or one of the gateway's own calls.
    `first_ms` is the time to the first delta; None if the answer was not streamed.
    `upstream` is the provider's error, redacted: for ledger and log, not for the receipt.
    """

    model: str
    provider: str
    outcome: str
    ms: float
    usage: Usage = field(default_factory=Usage)
    cost_usd: Decimal = Decimal(0)
    step: CallPurpose = "answer"
    first_ms: float | None = None
    upstream_reply: UpstreamReply | None = None

    def as_json(self) -> dict[str, Any]:
        """The call as the receipt shows it."""
        return {
            "step": self.step,
            "model": self.model,
            "provider": self.provider,
            "outcome": self.outcome,
            "ms": self.ms,
            "first_ms": self.first_ms,
            "usage": self.usage.as_json(),
            "cost_usd": format_usd(self.cost_usd),
        }


def total_cost(calls: Iterable[ModelCall], tools: Iterable[Mapping[str, Any]]) -> Decimal:
    """The cost of a turn: its model calls, and the receipt's tools that have a price."""
    return sum((Decimal(run["cost_usd"]) for run in tools if "cost_usd" in run), Decimal(0)) + sum(
        (attempt.cost_usd for attempt in calls), Decimal(0)
    )


@dataclass(frozen=True, slots=True)
class Receipt:
    """How an answer was produced; stored with the message as JSON.

    Its costs equal those in the ledger. `breakers` are the open circuit breakers of the upstreams that were
    considered, by `provider/model`.
    """

    intent: str
    complexity: float
    alias: str
    model: str
    reason: str
    attempts: tuple[ModelCall, ...] = ()
    tools: tuple[dict[str, Any], ...] = ()
    guardrails: tuple[dict[str, Any], ...] = ()
    nodes_ms: dict[str, float] = field(default_factory=dict)
    overhead_ms: float = 0.0
    breakers: Mapping[str, BreakerState] = field(default_factory=dict)
    cache: dict[str, Any] = field(default_factory=lambda: {"result": "bypass"})
    intent_score: float = 0.0
    intent_by: ClassifiedBy = ""

    def as_json(self) -> dict[str, Any]:
        """The receipt as clients see it and as it is stored; amounts are decimal strings."""
        return {
            "intent": self.intent,
            "intent_score": self.intent_score,
            "intent_by": self.intent_by,
            "complexity": self.complexity,
            "alias": self.alias,
            "model": self.model,
            "reason": self.reason,
            "attempts": [attempt.as_json() for attempt in self.attempts],
            "tools": list(self.tools),
            "guardrails": list(self.guardrails),
            "nodes_ms": self.nodes_ms,
            "overhead_ms": self.overhead_ms,
            "breakers": self.breakers,
            "cache": self.cache,
        }


@dataclass(frozen=True, slots=True)
class Answer:
    """The result of a turn, complete or partial: what `done` and the JSON response contain.

    `fallback_from` is the first model's name if another one answered. `refused`: the vendor marked the
    content as the model's refusal to answer.
    """

    request_id: str
    content: str
    status: MessageStatus
    model: str
    provider: str
    finish_reason: FinishReason | None
    created_at: datetime
    usage: Usage
    cost_usd: Decimal
    receipt: Receipt
    conversation_id: str | None = None
    message_id: str | None = None
    reasoning: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    logprobs: tuple[dict[str, Any], ...] = ()
    cache: CacheResult = "bypass"
    fallback_from: str | None = None
    blocked_reason: str | None = None
    refused: bool = False
    vendor: VendorData | None = None


@dataclass(frozen=True, slots=True)
class TurnCompleted:
    answer: Answer


@dataclass(frozen=True, slots=True)
class TurnFailed:
    """The turn ended in an error; `answer` is the partial answer, which is stored."""

    error: GatewayError
    request_id: str
    answer: Answer | None = None


ChatEvent = (
    TurnStarted
    | RouteChosen
    | TextDelta
    | ReasoningDelta
    | ToolCallDelta
    | MessageFields
    | ToolStarted
    | ToolFinished
    | TextReplaced
    | TurnCompleted
    | TurnFailed
)
