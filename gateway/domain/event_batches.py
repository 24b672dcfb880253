"""Events of a turn as a few bytes, and back: what the native stream shows of them, each with its number."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson

from gateway.domain.events import (
    ChatEvent,
    ReasoningDelta,
    RouteChosen,
    TextDelta,
    TextReplaced,
    ToolFinished,
    ToolStarted,
    TurnCompleted,
    TurnFailed,
    TurnStarted,
)
from gateway.domain.messages import ToolCall


@dataclass(frozen=True, slots=True)
class Unshown:
    """An event that has a number, and nothing to show in the native stream."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All text up to here: it stands for every event before it but the first."""

    text: str


@dataclass(frozen=True, slots=True)
class Ended:
    """The turn has ended and is written down: how is told by its message."""


Logged = ChatEvent | Unshown | Snapshot | Ended
_UNSHOWN, _ENDED = Unshown(), Ended()
_RUNS: Final = {TextDelta: "d", ReasoningDelta: "r"}


def pack(first: int, events: Sequence[ChatEvent]) -> bytes:
    """JSON of `[first, [run, …]]`; neighbouring deltas are one run, with the lengths of its pieces."""
    return _dumps([first, _runs(events)])


def pack_snapshot(started: TurnStarted, number: int, text: str) -> bytes:
    """What replaces all that was packed before: the turn's first event, and its text up to event `number`."""
    return _dumps([1, [*_runs([started]), ["s", number, text]]])


def pack_end(number: int) -> bytes:
    """The turn's end, told by somebody else."""
    return _dumps([number, [["e"]]])


def unpack(data: bytes) -> Iterator[tuple[int, Logged]]:
    """Each event with its number.

    Raises:
        ValueError: not what `pack` made; another version of the gateway may have written it.
    """
    try:
        number, runs = orjson.loads(data)
        for kind, *rest in runs:
            for step, event in _events(kind, rest, number):
                yield step, event
                number = step + 1
    except (TypeError, KeyError, AttributeError, LookupError) as error:
        raise ValueError("not a batch of events") from error


def _runs(events: Sequence[ChatEvent]) -> list[list[Any]]:
    runs: list[list[Any]] = []
    pieces: list[str] = []
    running = ""

    def close() -> None:
        nonlocal running
        if running:
            runs.append([running, "".join(pieces), [len(piece) for piece in pieces]])
            pieces.clear()
            running = ""

    for event in events:
        if isinstance(event, (TextDelta, ReasoningDelta)):
            kind = _RUNS[type(event)]
            if kind != running:
                close()
                running = kind
            pieces.append(event.text)
        else:
            close()
            runs.append(_single(event))
    close()
    return runs


def _single(event: ChatEvent) -> list[Any]:
    match event:
        case TurnStarted(
            request_id=request, conversation_id=conversation, user_message_id=user, message_id=id_
        ):
            return ["t", request, conversation, user, id_]
        case RouteChosen(intent, complexity, model, provider, reason):
            return ["o", intent, complexity, model, provider, reason]
        case ToolStarted(call=call):
            return ["c", call.id, call.name, call.arguments]
        case ToolFinished(id_, name, ok, content, ms):
            return ["f", id_, name, ok, content, ms]
        case TextReplaced(text, reason):
            return ["x", text, reason]
        case TurnCompleted() | TurnFailed():
            return ["e"]
        case _:
            return ["-"]


def _events(kind: str, rest: list[Any], number: int) -> Iterator[tuple[int, Logged]]:
    match kind:
        case "d" | "r":
            made = TextDelta if kind == "d" else ReasoningDelta
            text, lengths = rest
            at = 0
            for length in lengths:
                yield number, made(text[at : at + length])
                at += length
                number += 1
        case "s":
            yield rest[0], Snapshot(rest[1])
        case "t":
            yield number, TurnStarted(*rest)
        case "o":
            yield number, RouteChosen(*rest)
        case "c":
            yield number, ToolStarted(ToolCall(*rest))
        case "f":
            yield number, ToolFinished(*rest)
        case "x":
            yield number, TextReplaced(*rest)
        case "e":
            yield number, _ENDED
        case _:
            yield number, _UNSHOWN


def _dumps(value: Any) -> bytes:
    try:
        return orjson.dumps(value)
    except TypeError:  # half of a surrogate pair, which a vendor's answer may hold: lengths stay the same
        return orjson.dumps(_written(value))


def _written(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, list):
        return [_written(item) for item in value]
    return value
