"""Assemble a complete answer from a stream that the caller did not ask for.

Such calls are streamed only to notice early when the upstream is silent.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

from gateway.core.event_loop_yielding import iterate_cooperatively
from gateway.domain.events import ProviderEvent, ReasoningDelta, TextDelta, ToolCallDelta, output_text
from gateway.providers.base import activity_callback


class StreamAssembler:
    """Buffers the events of one answer and merges consecutive events of one kind."""

    def __init__(self) -> None:
        self._runs: list[list[ProviderEvent]] = []
        self._calls: dict[int, list[ProviderEvent]] = {}

    async def assemble(
        self, events: AsyncGenerator[ProviderEvent, None]
    ) -> AsyncGenerator[ProviderEvent, None]:
        """Yield the merged events once the stream has ended; nothing if it fails."""
        on_activity = activity_callback.get()
        async with aclosing(events):
            async for event in iterate_cooperatively(events):
                if on_activity is not None:
                    on_activity()
                self._add(event)
        complete = [_merge(run) for run in self._runs]
        self._runs, self._calls = [], {}
        for event in complete:
            yield event

    @property
    def incomplete_text(self) -> str:
        """The buffered text of an answer that did not complete; the provider counts it."""
        return "".join(output_text(event) for run in self._runs for event in run)

    def _add(self, event: ProviderEvent) -> None:
        if isinstance(event, ToolCallDelta):
            run = self._calls.get(event.index)
            if run is None:
                run = self._calls[event.index] = []
                self._runs.append(run)
            run.append(event)
        elif self._runs and _continues_run(self._runs[-1][-1], event):
            self._runs[-1].append(event)
        else:
            self._runs.append([event])


def _continues_run(last: ProviderEvent, event: ProviderEvent) -> bool:
    if isinstance(last, TextDelta) and isinstance(event, TextDelta):
        return last.refusal == event.refusal
    return isinstance(last, ReasoningDelta) and isinstance(event, ReasoningDelta)


def _merge(run: list[ProviderEvent]) -> ProviderEvent:
    """Merge events of the same kind; the first one determines the kind."""
    first = run[0]
    if len(run) == 1:
        return first
    text = "".join(map(output_text, run))
    if isinstance(first, TextDelta):
        logprobs = tuple(entry for e in run if isinstance(e, TextDelta) for entry in e.logprobs)
        return TextDelta(text, logprobs, first.refusal)
    if isinstance(first, ReasoningDelta):
        return ReasoningDelta(text)
    calls = [event for event in run if isinstance(event, ToolCallDelta)]
    extra = {name: value for call in calls for name, value in call.extra.items()}
    arguments = "".join(call.arguments for call in calls)
    return ToolCallDelta(calls[0].index, calls[0].id, calls[0].name, arguments, extra)
