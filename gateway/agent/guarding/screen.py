"""Between a model and its reader: what it says leaves once no guard of the answer can object to it."""

from __future__ import annotations

from collections.abc import Iterable
from time import perf_counter
from typing import Any

from gateway.agent.context import AgentContext
from gateway.agent.guarding.checks import Withheld, note
from gateway.agent.reply import Reply
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
from gateway.guardrails.leak import Known, Leak, LeakGuard, LeakWindow, find_leaks

_GUARDS: tuple[LeakGuard, ...] = ("leak", "personal_data")


def screen_of(context: AgentContext, messages: tuple[Message, ...]) -> OutputScreen | None:
    """A screen for one model call, where the caller's turns have one."""
    if context.guard.leak == "off" and context.guard.personal_data == "off":
        return None
    return OutputScreen(context, messages)


class OutputScreen:
    """Text, thinking and the arguments of each tool call have a window of their own.

    A leak in the thinking ends what is shown of it; one in the text or in a call ends the answer.
    """

    def __init__(self, context: AgentContext, messages: tuple[Message, ...]) -> None:
        self._context = context
        self._known = Known(messages)
        self._prompts = [message.text for message in messages if message.role == "system"]
        self._blocking = [guard for guard in _GUARDS if self._mode(guard) == "block"]
        self._windows: dict[str | int, LeakWindow] = {}
        self._seconds = 0.0
        # Of logprobs: the text's length up to each event, for they tell the text too.
        self._came = 0
        self._left = 0
        self._logprobs: list[tuple[int, TextDelta]] = []
        self._refused = False

    def through(self, event: ProviderEvent) -> Iterable[ProviderEvent]:
        """The events that may leave now that `event` has come; `obey` is to be called behind them."""
        if not self._blocking:
            return (event,)
        started = perf_counter()
        passed = self._pass(event)
        self._seconds += perf_counter() - started
        return passed

    def _pass(self, event: ProviderEvent) -> Iterable[ProviderEvent]:
        match event:
            case TextDelta(text=text):
                out = self._window("text").feed(text)
                if out == text and not event.logprobs and not self._logprobs:
                    self._came += len(out)
                    self._left += len(out)
                    return (event,)
                return self._text(out, event)
            case ReasoningDelta(text=text):
                out = self._window("thinking").feed(text)
                return [ReasoningDelta(out)] if out else []
            case ToolCallDelta(index=index, id=id_, name=name, arguments=arguments, extra=extra):
                out = self._window(index).feed(arguments)
                return [ToolCallDelta(index, id_, name, out, extra)] if out or id_ or name or extra else []
            case MessageFields():
                return []  # no window looks into a vendor's own fields
            case Completed():
                return [*self._rest(), event]

    def _text(self, out: str, event: TextDelta | None = None) -> list[ProviderEvent]:
        self._left += len(out)
        if event is not None:
            self._came += len(event.text)
            self._refused = event.refusal
            if event.logprobs:
                self._logprobs.append((self._came, event))
        due: list[dict[str, Any]] = []
        while self._logprobs and self._logprobs[0][0] <= self._left:
            due.extend(self._logprobs.pop(0)[1].logprobs)
        return [TextDelta(out, tuple(due), self._refused)] if out or due else []

    def _rest(self) -> Iterable[ProviderEvent]:
        """What was held to the end, thinking first."""
        for channel in sorted(self._windows, key=lambda channel: channel != "thinking"):
            out = self._windows[channel].feed("", last=True)
            if channel == "text":
                yield from self._text(out)
            elif out:
                yield (
                    ReasoningDelta(out) if isinstance(channel, str) else ToolCallDelta(channel, arguments=out)
                )

    def _window(self, channel: str | int) -> LeakWindow:
        window = self._windows.get(channel)
        if window is None:
            window = self._windows[channel] = LeakWindow(self._blocking, self._prompts, self._known)
        return window

    @property
    def held(self) -> str:
        """What the model said and nobody was shown."""
        return "".join(window.held for window in self._windows.values())

    def obey(self) -> None:
        """End the answer where a leak was found in it.

        Raises:
            Withheld: what the model said goes no further; the verdict is noted.
        """
        for channel, window in self._windows.items():
            if window.leak is not None and channel != "thinking":
                raise Withheld(self._note_block(window.leak, "The answer would have shown"), "output")

    def finish(self, reply: Reply) -> None:
        """Note the verdicts on an answer that went through whole."""
        thinking = self._windows.get("thinking")
        if thinking is not None and thinking.leak is not None:
            self._note_block(thinking.leak, "A part of the model's thinking is left out: it holds")
        for guard in _GUARDS:
            mode = self._mode(guard)
            if mode == "off":
                continue
            if mode == "block":
                found, ms = [], self._seconds * 1000
            else:
                started = perf_counter()
                said = "\n".join([reply.text, reply.reasoning, *(c.arguments for c in reply.tool_calls())])
                found = find_leaks(guard, said, self._prompts, self._known)
                ms = (perf_counter() - started) * 1000
            reason = (
                f"The answer shows {_listed(found)}." if found else "Nothing in the answer looks like a leak."
            )
            note(self._context, Verdict(guard, bool(found), float(bool(found)), reason, ms), "output", mode)

    def _note_block(self, leak: Leak, sentence: str) -> str:
        reason = f"{sentence} {leak.what}."
        note(self._context, Verdict(leak.guard, True, 1.0, reason, self._seconds * 1000), "output", "block")
        return reason

    def _mode(self, guard: LeakGuard) -> GuardMode:
        return self._context.guard.leak if guard == "leak" else self._context.guard.personal_data


def _listed(items: list[str]) -> str:
    return items[0] if len(items) == 1 else ", ".join(items[:-1]) + " and " + items[-1]
