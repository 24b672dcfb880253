"""Output guards: filter a model's stream before the client receives it."""

from __future__ import annotations

from collections.abc import Iterable
from time import perf_counter
from typing import Any

from gateway.agent.context import AgentContext
from gateway.agent.guards.verdicts import GuardrailBlocked, record_verdict
from gateway.agent.model_call.response_accumulator import ResponseAccumulator
from gateway.domain.config.guardrails import GuardMode
from gateway.domain.events import (
    Completed,
    MessageFields,
    ProviderEvent,
    ReasoningDelta,
    TextDelta,
    ToolCallDelta,
)
from gateway.domain.messages import Message
from gateway.guardrails.base import Verdict
from gateway.guardrails.leaks.scanner import AllowedValues, Leak, LeakGuard, LeakScanner, find_leaks

_GUARDS: tuple[LeakGuard, ...] = ("leak", "personal_data")


def output_guard_for(context: AgentContext, messages: tuple[Message, ...]) -> OutputGuard | None:
    """The output guard of one model call, or None if no output guard is on."""
    if context.run.guards.leak == "off" and context.run.guards.personal_data == "off":
        return None
    return OutputGuard(context, messages)


class OutputGuard:
    """Scans text, reasoning and the arguments of each tool call separately.

    A leak in the reasoning ends the reasoning that is shown; one in the text or in a tool call ends the
    answer.
    """

    def __init__(self, context: AgentContext, messages: tuple[Message, ...]) -> None:
        self._context = context
        self._allowed_values = AllowedValues(messages)
        self._prompts = [message.text for message in messages if message.role == "system"]
        self._blocking = [guard for guard in _GUARDS if self._mode(guard) == "block"]
        self._scanners: dict[str | int, LeakScanner] = {}
        self._seconds = 0.0
        # Logprobs repeat the text, so each event's are sent only once its text was released.
        self._received_length = 0
        self._released_length = 0
        self._pending_logprobs: list[tuple[int, TextDelta]] = []
        self._is_refusal = False

    def filter(self, event: ProviderEvent) -> Iterable[ProviderEvent]:
        """Return the events that may be sent now; call `raise_if_blocked` afterwards."""
        if not self._blocking:
            return (event,)
        started = perf_counter()
        passed = self._filter_event(event)
        self._seconds += perf_counter() - started
        return passed

    def _filter_event(self, event: ProviderEvent) -> Iterable[ProviderEvent]:
        match event:
            case TextDelta(text=text):
                out = self._scanner_for("text").feed(text)
                if out == text and not event.logprobs and not self._pending_logprobs:
                    self._received_length += len(out)
                    self._released_length += len(out)
                    return (event,)
                return self._release_text(out, event)
            case ReasoningDelta(text=text):
                out = self._scanner_for("thinking").feed(text)
                return [ReasoningDelta(out)] if out else []
            case ToolCallDelta(index=index, id=id_, name=name, arguments=arguments, extra=extra):
                out = self._scanner_for(index).feed(arguments)
                return [ToolCallDelta(index, id_, name, out, extra)] if out or id_ or name or extra else []
            case MessageFields():
                return []  # a vendor's own fields are not scanned
            case Completed():
                return [*self._flush(), event]

    def _release_text(self, out: str, event: TextDelta | None = None) -> list[ProviderEvent]:
        self._released_length += len(out)
        if event is not None:
            self._received_length += len(event.text)
            self._is_refusal = event.refusal
            if event.logprobs:
                self._pending_logprobs.append((self._received_length, event))
        due: list[dict[str, Any]] = []
        while self._pending_logprobs and self._pending_logprobs[0][0] <= self._released_length:
            due.extend(self._pending_logprobs.pop(0)[1].logprobs)
        return [TextDelta(out, tuple(due), self._is_refusal)] if out or due else []

    def _flush(self) -> Iterable[ProviderEvent]:
        """Release what was withheld until the end, reasoning first."""
        for channel in sorted(self._scanners, key=lambda channel: channel != "thinking"):
            out = self._scanners[channel].feed("", last=True)
            if channel == "text":
                yield from self._release_text(out)
            elif out:
                yield (
                    ReasoningDelta(out) if isinstance(channel, str) else ToolCallDelta(channel, arguments=out)
                )

    def _scanner_for(self, channel: str | int) -> LeakScanner:
        scanner = self._scanners.get(channel)
        if scanner is None:
            scanner = self._scanners[channel] = LeakScanner(
                self._blocking, self._prompts, self._allowed_values
            )
        return scanner

    @property
    def withheld_text(self) -> str:
        """Output of the model that was not sent."""
        return "".join(scanner.withheld_text for scanner in self._scanners.values())

    def raise_if_blocked(self) -> None:
        """End the answer if a leak was found in it.

        Raises:
            GuardrailBlocked: the output must not be sent; the verdict is recorded.
        """
        for channel, scanner in self._scanners.items():
            if scanner.leak is not None and channel != "thinking":
                raise GuardrailBlocked(
                    self._record_block(scanner.leak, "The answer would have shown"), "output"
                )

    def record_verdicts(self, response: ResponseAccumulator) -> None:
        """Record the verdicts on an answer that was sent in full."""
        thinking = self._scanners.get("thinking")
        if thinking is not None and thinking.leak is not None:
            self._record_block(thinking.leak, "Part of the model's reasoning is withheld: it contains")
        for guard in _GUARDS:
            mode = self._mode(guard)
            if mode == "off":
                continue
            if mode == "block":
                leaks, ms = [], self._seconds * 1000
            else:
                started = perf_counter()
                output = "\n".join(
                    [response.text, response.reasoning, *(c.arguments for c in response.tool_calls())]
                )
                leaks = find_leaks(guard, output, self._prompts, self._allowed_values)
                ms = (perf_counter() - started) * 1000
            reason = (
                f"The answer shows {_join_descriptions(leaks)}."
                if leaks
                else "Nothing in the answer looks like a leak."
            )
            record_verdict(
                self._context, Verdict(guard, bool(leaks), float(bool(leaks)), reason, ms), "output", mode
            )

    def _record_block(self, leak: Leak, sentence: str) -> str:
        reason = f"{sentence} {leak.description}."
        record_verdict(
            self._context, Verdict(leak.guard, True, 1.0, reason, self._seconds * 1000), "output", "block"
        )
        return reason

    def _mode(self, guard: LeakGuard) -> GuardMode:
        return self._context.run.guards.mode_of(guard)


def _join_descriptions(descriptions: list[str]) -> str:
    return (
        descriptions[0]
        if len(descriptions) == 1
        else ", ".join(descriptions[:-1]) + " and " + descriptions[-1]
    )
