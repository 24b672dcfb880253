"""What a turn has shown so far, for the turns that do not reach their end."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from gateway.domain.answer_details import ToolRun, ToolRuns
from gateway.domain.events import (
    Answer,
    Attempt,
    ChatEvent,
    MessageStatus,
    ReasoningDelta,
    Receipt,
    RouteChosen,
    TextDelta,
    TextReplaced,
    ToolFinished,
    ToolStarted,
    cost_of,
)
from gateway.domain.usage import Usage, money


class Progress:
    """Folds the events that a client was sent."""

    def __init__(self) -> None:
        self._text: list[str] = []
        self._reasoning: list[str] = []
        self._route = RouteChosen("", 0.0, "", "", "")
        self._first_model = ""
        self._tools: list[dict[str, Any]] = []
        self._runs = ToolRuns()

    def add(self, event: ChatEvent) -> None:
        """Take in one event, in order."""
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
            self._runs.begin(event.call.id, event.call.name, event.call.arguments)
        elif isinstance(event, ToolFinished):
            self._runs.end(event.id, ok=event.ok, ms=event.ms, content=event.content)
            run = {"id": event.id, "name": event.name, "ok": event.ok, "ms": round(event.ms, 3)}
            if event.cost_usd:
                run["cost_usd"] = money(event.cost_usd)
            self._tools.append(run)

    @property
    def text(self) -> str:
        """The answer so far."""
        return "".join(self._text)

    @property
    def tool_runs(self) -> Sequence[ToolRun]:
        """The calls of the gateway's tools so far, with their results."""
        return self._runs.all

    def answer(self, request_id: str, status: MessageStatus, attempts: Sequence[Attempt]) -> Answer:
        """What there is, as an answer of this status."""
        route = self._route
        return Answer(
            request_id=request_id,
            content="".join(self._text),
            status=status,
            model=route.model,
            provider=route.provider,
            finish_reason=None,
            created_at=datetime.now(UTC),
            usage=sum((a.usage for a in attempts), Usage()),
            cost_usd=cost_of(attempts, self._tools),
            receipt=Receipt(
                intent=route.intent,
                complexity=route.complexity,
                alias="",
                model=route.model,
                reason=route.reason,
                attempts=tuple(attempts),
                tools=tuple(self._tools),
            ),
            reasoning="".join(self._reasoning),
            fallback_from=self._first_model if self._first_model != route.model else None,
        )
