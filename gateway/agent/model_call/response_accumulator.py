"""Accumulates the events of one model call."""

from __future__ import annotations

from collections.abc import Sequence
from time import perf_counter
from typing import Any

from gateway.agent.model_call.request_builder import max_request_tokens, prompt_tokens
from gateway.core.exceptions import GatewayError, UpstreamError
from gateway.domain.events import (
    Completed,
    FinishReason,
    ProviderEvent,
    ReasoningDelta,
    TextDelta,
    ToolCallDelta,
    VendorResponse,
)
from gateway.domain.messages import ToolCall, VendorData
from gateway.domain.money import Usage, estimate_tokens
from gateway.domain.requests import ChatRequest, ToolSpec
from gateway.domain.token_estimates import max_tokens_by_bytes

# Some vendors count tokens beyond `max_tokens`, such as the end-of-text token.
_UNCAPPED_TOKENS = 16


class ResponseAccumulator:
    """Folds provider events; strings are joined once, at the end."""

    def __init__(self) -> None:
        self._text: list[str] = []
        self._reasoning: list[str] = []
        self._tool_calls: dict[int, list[str]] = {}
        self.logprobs: list[dict[str, Any]] = []
        self.finish_reason: FinishReason | None = None
        self.usage: Usage | None = None
        self.vendor_data: VendorData | None = None
        self.response: VendorResponse | None = None
        self._extra: dict[int, dict[str, Any]] = {}
        # `perf_counter` time of the first output.
        self.first_output_at: float | None = None
        self.is_refusal = False
        # Output that a guard withheld; the vendor still counts it.
        self.withheld_text = ""
        # Once the request is sent, the provider charges at least its prompt.
        self.request_sent = False

    def add(self, event: ProviderEvent) -> None:
        """Add one event, in order."""
        if isinstance(event, TextDelta):
            if self.first_output_at is None:
                self.first_output_at = perf_counter()
            self._text.append(event.text)
            self.is_refusal = self.is_refusal or event.refusal
            if event.logprobs:
                self.logprobs.extend(event.logprobs)
        elif isinstance(event, Completed):
            self.finish_reason = event.finish_reason
            self.usage = event.usage
            self.vendor_data = event.vendor
            self.response = event.response
        elif isinstance(event, ToolCallDelta):
            if self.first_output_at is None:
                self.first_output_at = perf_counter()
            call = self._tool_calls.setdefault(event.index, ["", "", ""])
            call[0] = event.id or call[0]
            call[1] = event.name or call[1]
            call[2] += event.arguments
            if event.extra:
                self._extra.setdefault(event.index, {}).update(event.extra)
        elif isinstance(event, ReasoningDelta):
            if self.first_output_at is None:
                self.first_output_at = perf_counter()
            self._reasoning.append(event.text)

    @property
    def has_output(self) -> bool:
        return self.first_output_at is not None

    @property
    def text(self) -> str:
        return "".join(self._text)

    @property
    def reasoning(self) -> str:
        return "".join(self._reasoning)

    def tool_calls(self) -> tuple[ToolCall, ...]:
        """The tool calls by index; a missing id is derived from the index."""
        return tuple(
            ToolCall(call[0] or f"call_{index}", call[1], call[2] or "{}", self._extra.get(index, {}))
            for index, call in sorted(self._tool_calls.items())
        )

    def usage_or_estimate(
        self, request: ChatRequest, context_window: int, tools: Sequence[ToolSpec] = ()
    ) -> Usage:
        """The provider's token counts, replaced by estimates where they are implausible.

        A prompt and a non-empty answer never have 0 tokens. A prompt does not exceed `context_window`, or the
        bytes sent if that is configured too small. An answer does not exceed `max_tokens` plus reasoning, or
        its bytes.

        Estimates of the prompt include its messages and the client's `tools`, but not the gateway's own
        tools.
        """
        if self.usage is None and not self.has_output and not self.withheld_text and not self.request_sent:
            return Usage()
        reported = self.usage or Usage()
        prompt, completion = reported.prompt_tokens, reported.completion_tokens
        if prompt <= 0 or (prompt > context_window and prompt > max_request_tokens(request)):
            prompt = prompt_tokens(request.messages, tools)
        output = self._all_output()
        if self.finish_reason is None:
            # Interrupted: the reported count may be from the beginning of the answer.
            completion = max(completion, estimate_tokens(output))
        limit = request.sampling.max_tokens
        max_completion = (
            context_window
            if limit is None
            else min(context_window, limit + reported.reasoning_tokens + _UNCAPPED_TOKENS)
        )
        if completion > max(max_completion, max_tokens_by_bytes(output)) or (completion <= 0 and output):
            completion = estimate_tokens(output)
        cached = min(reported.cached_tokens, prompt)
        cache_written = min(reported.cache_write_tokens, prompt - cached)
        return Usage(prompt, completion, cached, cache_written, min(reported.reasoning_tokens, completion))

    def record_failure(self, error: GatewayError) -> None:
        """Charge nothing for a failure without output, else what the provider reported."""
        self.request_sent = False
        if (
            isinstance(error, UpstreamError)
            and self.usage is None
            and (self.has_output or self.withheld_text)
        ):
            self.usage = error.usage

    def _all_output(self) -> str:
        """All output of the model, sent or withheld."""
        calls = (call[1] + call[2] for call in self._tool_calls.values())
        return "".join((*self._text, *self._reasoning, self.withheld_text, *calls))
