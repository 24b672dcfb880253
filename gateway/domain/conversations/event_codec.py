"""Encodes numbered events for the event log, as the native stream sends them."""

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
class HiddenEvent:
    """An event that has a number but is not part of the native stream."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The text so far; it replaces all earlier events but the first."""

    text: str


@dataclass(frozen=True, slots=True)
class EndOfTurn:
    """The end of a turn; its stored message has the status."""


LoggedEvent = ChatEvent | HiddenEvent | Snapshot | EndOfTurn
_HIDDEN, _ENDED = HiddenEvent(), EndOfTurn()
_DELTA_KINDS: Final = {TextDelta: "d", ReasoningDelta: "r"}


def encode(first: int, events: Sequence[ChatEvent]) -> bytes:
    """Encode events as JSON, `[first, [run, …]]`.

    Adjacent deltas form one run, with the length of each.
    """
    return _dumps([first, _encode_runs(events)])


def encode_snapshot(started: TurnStarted, number: int, text: str) -> bytes:
    """Encode a snapshot, which replaces all earlier entries.

    It consists of the turn's first event and the text up to event `number`.
    """
    return _dumps([1, [*_encode_runs([started]), ["s", number, text]]])


def encode_end(number: int) -> bytes:
    """Encode the turn's end, for a worker that did not run the turn."""
    return _dumps([number, [["e"]]])


def decode(data: bytes) -> Iterator[tuple[int, LoggedEvent]]:
    """Yield each event with its number.

    Raises:
        ValueError: `encode` did not write it; another version of the gateway may have.
    """
    try:
        number, runs = orjson.loads(data)
        for kind, *rest in runs:
            for step, event in _decode_run(kind, rest, number):
                yield step, event
                number = step + 1
    except (TypeError, KeyError, AttributeError, LookupError) as error:
        raise ValueError("not a batch of events") from error


def _encode_runs(events: Sequence[ChatEvent]) -> list[list[Any]]:
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
            kind = _DELTA_KINDS[type(event)]
            if kind != running:
                close()
                running = kind
            pieces.append(event.text)
        else:
            close()
            runs.append(_encode_event(event))
    close()
    return runs


def _encode_event(event: ChatEvent) -> list[Any]:
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


def _decode_run(kind: str, rest: list[Any], number: int) -> Iterator[tuple[int, LoggedEvent]]:
    match kind:
        case "d" | "r":
            delta = TextDelta if kind == "d" else ReasoningDelta
            text, lengths = rest
            at = 0
            for length in lengths:
                yield number, delta(text[at : at + length])
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
            yield number, _HIDDEN


def _dumps(value: Any) -> bytes:
    try:
        return orjson.dumps(value)
    except TypeError:  # a lone surrogate, which a model's answer may contain
        return orjson.dumps(_replace_surrogates(value))


def _replace_surrogates(value: Any) -> Any:
    """Replace each lone surrogate by `?`, so that lengths stay the same."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, list):
        return [_replace_surrogates(item) for item in value]
    return value
