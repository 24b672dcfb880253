"""What one model call has said so far."""

from __future__ import annotations

from time import perf_counter
from typing import Any

from gateway.domain.chat import ChatRequest
from gateway.domain.events import (
    Completed,
    FinishReason,
    ProviderEvent,
    ReasoningDelta,
    TextDelta,
    ToolCallDelta,
)
from gateway.domain.messages import ToolCall
from gateway.domain.usage import Usage, estimate_tokens

# More than any context window holds: a provider that counts so is not charged for, nor believed.
_PLAUSIBLE_TOKENS = 50_000_000


class Reply:
    """Folds a provider's events; strings are joined once, at the end."""

    def __init__(self) -> None:
        self._text: list[str] = []
        self._reasoning: list[str] = []
        self._calls: dict[int, list[str]] = {}
        self.logprobs: list[dict[str, Any]] = []
        self.finish_reason: FinishReason | None = None
        self.usage: Usage | None = None
        # When the first piece came, by `perf_counter`.
        self.first_at: float | None = None
        self.refused = False
        # What was said and withheld: nobody reads it, and the vendor counts it.
        self.unseen = ""

    def add(self, event: ProviderEvent) -> None:
        """Take in one event, in order."""
        if isinstance(event, TextDelta):
            if self.first_at is None:
                self.first_at = perf_counter()
            self._text.append(event.text)
            self.refused = self.refused or event.refusal
            if event.logprobs:
                self.logprobs.extend(event.logprobs)
        elif isinstance(event, Completed):
            self.finish_reason = event.finish_reason
            self.usage = event.usage
        elif isinstance(event, ToolCallDelta):
            if self.first_at is None:
                self.first_at = perf_counter()
            call = self._calls.setdefault(event.index, ["", "", ""])
            call[0] = event.id or call[0]
            call[1] = event.name or call[1]
            call[2] += event.arguments
        elif isinstance(event, ReasoningDelta):
            if self.first_at is None:
                self.first_at = perf_counter()
            self._reasoning.append(event.text)

    @property
    def spoke(self) -> bool:
        return self.first_at is not None

    @property
    def text(self) -> str:
        return "".join(self._text)

    @property
    def reasoning(self) -> str:
        return "".join(self._reasoning)

    def tool_calls(self) -> tuple[ToolCall, ...]:
        """The calls in the order of their index; one without an id gets its index as one."""
        return tuple(
            ToolCall(call[0] or f"call_{index}", call[1], call[2] or "{}")
            for index, call in sorted(self._calls.items())
        )

    def usage_or_estimate(self, request: ChatRequest) -> Usage:
        """The provider's count; an estimate where it gave none to be believed but has said something."""
        if self.usage is not None and self.usage.total_tokens <= _PLAUSIBLE_TOKENS:
            return self.usage
        if not self.spoke and not self.unseen:
            return Usage()
        prompt = sum(estimate_tokens(message.text) + 4 for message in request.messages)
        said = self.text + self.reasoning + self.unseen + "".join(call[2] for call in self._calls.values())
        return Usage(prompt, estimate_tokens(said))
