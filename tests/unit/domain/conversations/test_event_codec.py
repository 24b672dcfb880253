"""Encoding events for the event log, and replaying the log."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.exceptions import GatewayError
from gateway.domain.conversations.event_codec import (
    EndOfTurn,
    HiddenEvent,
    Snapshot,
    decode,
    encode,
    encode_end,
    encode_snapshot,
)
from gateway.domain.events import (
    ChatEvent,
    ReasoningDelta,
    RouteChosen,
    TextDelta,
    TextReplaced,
    ToolCallDelta,
    ToolFinished,
    ToolStarted,
    TurnFailed,
    TurnStarted,
)
from gateway.domain.messages import ToolCall
from gateway.services.streams.event_log_reader import EventLogReader, MissingEvents

STARTED = TurnStarted("req", "c", "u", "m")
TEXTS = st.text(st.characters(exclude_categories=("Cs",)), max_size=8)
EVENTS = st.lists(
    st.one_of(
        TEXTS.map(TextDelta),
        TEXTS.map(ReasoningDelta),
        st.builds(TextReplaced, TEXTS, TEXTS),
        st.builds(RouteChosen, TEXTS, st.floats(0, 1), TEXTS, TEXTS, TEXTS),
        st.builds(lambda text: ToolStarted(ToolCall("1", "t", text)), TEXTS),
        st.builds(ToolFinished, TEXTS, TEXTS, st.booleans(), TEXTS, st.floats(0, 1e6)),
    ),
    max_size=30,
)


def text_of(event: ChatEvent) -> str:
    return event.text if isinstance(event, TextDelta) else ""


@given(EVENTS, st.integers(1, 1000))
def test_decoded_events_equal_the_encoded_ones_with_their_numbers(
    events: list[ChatEvent], first: int
) -> None:
    assert list(decode(encode(first, events))) == list(enumerate(events, first))


def test_hidden_events_keep_their_numbers_and_the_end_has_no_content() -> None:
    events = [TextDelta("a"), ToolCallDelta(0, "1", "t"), TextDelta("b"), TurnFailed(GatewayError(), "r")]
    assert list(decode(encode(7, events))) == [
        (7, TextDelta("a")),
        (8, HiddenEvent()),
        (9, TextDelta("b")),
        (10, EndOfTurn()),
    ]
    assert list(decode(encode_end(11))) == [(11, EndOfTurn())]


def test_a_snapshot_replaces_all_earlier_events_but_the_first() -> None:
    assert list(decode(encode_snapshot(STARTED, 40, "so far"))) == [(1, STARTED), (40, Snapshot("so far"))]


def test_a_lone_surrogate_does_not_shift_later_deltas() -> None:
    pieces = [TextDelta("a\ud800"), TextDelta("\udc00b"), TextDelta("c")]
    assert [event for _, event in decode(encode(1, pieces))] == [
        TextDelta("a?"),
        TextDelta("?b"),
        TextDelta("c"),
    ]


@pytest.mark.parametrize(
    "data", [b"", b"{}", b"[1]", b'[1,[["d"]]]', b'[1,[["t",1,2,3,4,5,6]]]', b'["x",[5]]']
)
def test_undecodable_data_is_a_value_error(data: bytes) -> None:
    with pytest.raises(ValueError):
        list(decode(data))


@given(EVENTS, st.lists(st.integers(0, 31)), st.integers(0, 35))
def test_overlapping_batches_are_replayed_without_gaps_or_duplicates(
    events: list[ChatEvent], cuts: list[int], last_sent: int
) -> None:
    # Batches may overlap: a write that seemed to fail is repeated.
    stream = [STARTED, *events]
    replay, found = EventLogReader(last_sent), []
    written = 0
    for cut in sorted({*cuts, len(stream)}):
        found += list(replay.consume(encode(max(0, written - 2) + 1, stream[max(0, written - 2) : cut])))
        written = max(written, cut)
    found += list(replay.consume(encode_end(len(stream) + 1)))
    assert found == list(enumerate(stream, 1))[last_sent:]
    assert replay.ended
    if last_sent <= len(stream):
        text = ""
        for event in stream:
            text = event.text if isinstance(event, TextReplaced) else text + text_of(event)
        assert replay.text == text
    else:
        assert replay.text is None


def test_a_missing_batch_raises() -> None:
    replay = EventLogReader(0)
    list(replay.consume(encode(1, [STARTED, TextDelta("a")])))
    with pytest.raises(MissingEvents):
        list(replay.consume(encode(4, [TextDelta("c")])))


def test_a_snapshot_is_replayed_only_to_readers_behind_it() -> None:
    behind, ahead = EventLogReader(2), EventLogReader(9)
    snapshot = encode_snapshot(STARTED, 5, "all of it")
    ((number, event),) = behind.consume(snapshot)
    assert (number, isinstance(event, TextReplaced), behind.text) == (5, True, "all of it")
    assert list(ahead.consume(snapshot)) == []
    assert ahead.text is None
    assert [n for n, _ in ahead.consume(encode(6, [TextDelta("x")] * 5))] == [10]
    assert ahead.text == "all of itxxxxx"
