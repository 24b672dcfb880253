"""Cached answers: their stored form, and the events and answers made from them."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import orjson

from gateway.domain.events import (
    Answer,
    CacheResult,
    ChatEvent,
    FinishReason,
    MessageFields,
    ModelCall,
    ReasoningDelta,
    Receipt,
    RouteChosen,
    TextDelta,
    ToolCallDelta,
)
from gateway.domain.messages import ToolCall, VendorData
from gateway.domain.money import Usage
from gateway.domain.usage.reports import CACHED_OUTCOME

_CACHEABLE_FINISH_REASONS: frozenset[FinishReason] = frozenset({"stop", "length", "tool_calls"})


@dataclass(frozen=True, slots=True)
class CachedAnswer:
    """An answer as it is cached.

    `request_id` is that of the turn that produced it, `made_at` its time in seconds since 1970.
    """

    request_id: str
    made_at: float
    content: str
    reasoning: str
    model: str
    provider: str
    finish_reason: FinishReason
    tool_calls: tuple[ToolCall, ...]
    logprobs: tuple[dict[str, Any], ...]
    intent: str
    complexity: float
    alias: str
    reason: str
    vendor: VendorData | None = None

    @classmethod
    def from_answer(cls, answer: Answer) -> CachedAnswer | None:
        """Return the cacheable form of `answer`, or None if it must not be cached.

        Only complete answers of the requested model are cached: nothing blocked or flagged, no fallback, and
        nothing that used the gateway's own tools.
        """
        if (
            answer.status != "complete"
            or answer.finish_reason is None
            or answer.finish_reason not in _CACHEABLE_FINISH_REASONS
            or answer.blocked_reason is not None
            or answer.refused
            or answer.fallback_from is not None
            or answer.receipt.tools
            or any(verdict.get("flagged") for verdict in answer.receipt.guardrails)
            or not (answer.content or answer.tool_calls)
        ):
            return None
        receipt = answer.receipt
        return cls(
            request_id=answer.request_id,
            made_at=answer.created_at.timestamp(),
            content=answer.content,
            reasoning=answer.reasoning,
            model=answer.model,
            provider=answer.provider,
            finish_reason=answer.finish_reason,
            tool_calls=answer.tool_calls,
            logprobs=answer.logprobs,
            intent=receipt.intent,
            complexity=receipt.complexity,
            alias=receipt.alias,
            reason=receipt.reason,
            vendor=answer.vendor,
        )

    def events(self) -> list[ChatEvent]:
        """Return the answer's events, without the last one."""
        events: list[ChatEvent] = [
            RouteChosen(self.intent, self.complexity, self.model, self.provider, self.reason)
        ]
        if self.reasoning:
            events.append(ReasoningDelta(self.reasoning))
        if self.content:
            events.append(TextDelta(self.content, self.logprobs))
        if self.vendor is not None and self.vendor.fields:
            events.append(MessageFields(self.vendor.fields))
        events.extend(
            ToolCallDelta(index, call.id, call.name, call.arguments, call.extra)
            for index, call in enumerate(self.tool_calls)
        )
        return events

    def model_call(self, waited_ms: float) -> ModelCall:
        """Return the ledger's entry: no provider was called and nothing is charged."""
        return ModelCall(self.model, self.provider, CACHED_OUTCOME, round(waited_ms, 3))

    def to_answer(
        self, request_id: str, calls: tuple[ModelCall, ...], result: CacheResult, details: dict[str, Any]
    ) -> Answer:
        """Return the answer to another request, which costs nothing.

        `details` go into the receipt's `cache`.
        """
        return Answer(
            request_id=request_id,
            content=self.content,
            status="complete",
            model=self.model,
            provider=self.provider,
            finish_reason=self.finish_reason,
            created_at=datetime.now(UTC),
            usage=sum((call.usage for call in calls), Usage()),
            cost_usd=sum((call.cost_usd for call in calls), Decimal(0)),
            receipt=Receipt(
                intent=self.intent,
                complexity=self.complexity,
                alias=self.alias,
                model=self.model,
                reason=self.reason,
                attempts=calls,
                cache={
                    "result": result,
                    "request_id": self.request_id,
                    "age_seconds": round(max(0.0, time.time() - self.made_at), 1),
                    **details,
                },
            ),
            reasoning=self.reasoning,
            tool_calls=self.tool_calls,
            logprobs=self.logprobs,
            vendor=self.vendor,
            cache=result,
        )

    def to_bytes(self) -> bytes | None:
        """Return the answer as JSON, or None if a text contains a lone surrogate."""
        try:
            return orjson.dumps(asdict(self))
        except TypeError:
            return None

    @classmethod
    def from_bytes(cls, data: bytes) -> CachedAnswer | None:
        """Decode an answer; return None if another version wrote it in another format."""
        try:
            values = orjson.loads(data)
            values["tool_calls"] = tuple(ToolCall(**call) for call in values["tool_calls"])
            values["logprobs"] = tuple(values["logprobs"])
            if values.get("vendor") is not None:
                values["vendor"] = VendorData(**values["vendor"])
            return cls(**values)
        except (ValueError, TypeError, KeyError):
            return None
