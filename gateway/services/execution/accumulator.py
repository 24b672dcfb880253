"""Accumulates a turn's events into the answer so far."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from gateway.domain.conversations.answer_details import ToolRun, ToolRuns
from gateway.domain.events import (
    Answer,
    ChatEvent,
    MessageStatus,
    ModelCall,
    ReasoningDelta,
    Receipt,
    RouteChosen,
    TextDelta,
    TextReplaced,
    ToolFinished,
    ToolStarted,
    total_cost,
)
from gateway.domain.money import Usage, format_usd


class AnswerAccumulator:
    """The state of an answer after the events sent to its client."""

    def __init__(self) -> None:
        self._text: list[str] = []
        self._reasoning: list[str] = []
        self._route = RouteChosen("", 0.0, "", "", "")
        self._first_model = ""
        self._receipt_tools: list[dict[str, Any]] = []
        self._tool_runs = ToolRuns()

    def add(self, event: ChatEvent) -> None:
        """Apply the next event."""
        if isinstance(event, TextDelta):
            self._text.append(event.text)
        elif isinstance(event, ReasoningDelta):
            self._reasoning.append(event.text)
        elif isinstance(event, RouteChosen):
            self._route = event
            self._first_model = self._first_model or event.model
        elif isinstance(event, TextReplaced):
            self._text = [event.text]
        elif isinstance(event, ToolStarted):
            self._tool_runs.start(event.call.id, event.call.name, event.call.arguments)
        elif isinstance(event, ToolFinished):
            self._tool_runs.finish(event.id, ok=event.ok, ms=event.ms, content=event.content)
            run = {"id": event.id, "name": event.name, "ok": event.ok, "ms": round(event.ms, 3)}
            if event.cost_usd:
                run["cost_usd"] = format_usd(event.cost_usd)
            self._receipt_tools.append(run)

    @property
    def text(self) -> str:
        """The answer's text so far."""
        return "".join(self._text)

    @property
    def tool_runs(self) -> Sequence[ToolRun]:
        """The calls of the gateway's tools so far, with their results."""
        return self._tool_runs.all

    def build_answer(self, request_id: str, status: MessageStatus, calls: Sequence[ModelCall]) -> Answer:
        """Return the answer so far, with this status."""
        route = self._route
        return Answer(
            request_id=request_id,
            content=self.text,
            status=status,
            model=route.model,
            provider=route.provider,
            finish_reason=None,
            created_at=datetime.now(UTC),
            usage=sum((call.usage for call in calls), Usage()),
            cost_usd=total_cost(calls, self._receipt_tools),
            receipt=Receipt(
                intent=route.intent,
                complexity=route.complexity,
                alias="",
                model=route.model,
                reason=route.reason,
                attempts=tuple(calls),
                tools=tuple(self._receipt_tools),
            ),
            reasoning="".join(self._reasoning),
            fallback_from=self._first_model if self._first_model != route.model else None,
        )
