"""Assembly of tool call fragments, whatever indices, ids and names a vendor sends."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gateway.domain.events import ToolCallDelta
from gateway.providers.openai.response_parser import OpenAIResponseParser
from gateway.providers.tool_call_assembler import ToolCallAssembler

Piece = tuple[Any, str | None, str | None, str]


def assembled(*pieces: Piece) -> list[tuple[str | None, str | None, str]]:
    """Return (id, name, arguments) of each call, ordered by index."""
    calls = ToolCallAssembler()
    events = [event for piece in pieces for event in calls.add_piece(*piece)] + calls.finish()
    found: dict[int, list[Any]] = {}
    for event in events:
        assert (event.id is None) == (event.name is None)
        call = found.setdefault(event.index, [event.id, event.name, ""])
        call[2] += event.arguments
    assert list(found) == sorted(found)
    return [(id_, name, arguments) for id_, name, arguments in found.values()]


SEOUL, BUSAN = '{"city":"Seoul"}', '{"city":"Busan"}'
BOTH = [("a1", "w", SEOUL), ("b1", "w", BUSAN)]


@pytest.mark.parametrize("index", [0, -1, 3, None])
def test_a_new_id_starts_a_new_call_whatever_the_index(index: int | None) -> None:
    assert assembled((index, "a1", "w", SEOUL), (index, "b1", "w", BUSAN)) == BOTH


@pytest.mark.parametrize("index", [0, -1])
def test_fragments_without_an_id_belong_to_the_latest_call_of_their_index(index: int) -> None:
    pieces: list[Piece] = [
        (index, "a1", "w", ""),
        (index, None, None, '{"city":'),
        (index, None, None, '"Seoul"}'),
        (index, "b1", "w", '{"city":'),
        (index, None, None, '"Busan"}'),
    ]
    assert assembled(*pieces) == BOTH


@pytest.mark.parametrize("index", [0, None])
@pytest.mark.parametrize("repeated", ["w", None])
def test_interleaved_fragments_are_distinguished_by_id(index: int | None, repeated: str | None) -> None:
    pieces: list[Piece] = [
        (index, "a1", "w", '{"city":'),
        (index, "b1", "w", '{"city":'),
        (index, "a1", repeated, '"Seoul"}'),
        (index, "b1", repeated, '"Busan"}'),
    ]
    assert assembled(*pieces) == BOTH


@pytest.mark.parametrize("index", [0, None])
def test_a_repeated_id_and_name_continue_the_call(index: int | None) -> None:
    pieces: list[Piece] = [(index, "a1", "w", part) for part in ("{", '"city":', '"Seoul"', "}", "")]
    assert assembled(*pieces) == BOTH[:1]


def test_a_server_that_counts_its_fragments_makes_one_call_of_one_id() -> None:
    assert assembled((0, "a1", "w", '{"city":'), (1, "a1", None, '"Seoul"}')) == BOTH[:1]


def test_complete_calls_that_share_index_or_id_stay_separate() -> None:
    assert [c[2] for c in assembled((0, None, "w", SEOUL), (0, None, "w", BUSAN))] == [SEOUL, BUSAN]
    assert [c[2] for c in assembled((0, "x", "w", SEOUL), (1, "x", "w", BUSAN))] == [SEOUL, BUSAN]
    assert [c[2] for c in assembled((None, "x", "w", SEOUL), (None, "x", "w", BUSAN))] == [SEOUL, BUSAN]


def test_a_late_id_belongs_to_the_call() -> None:
    assert [c[1:] for c in assembled((0, None, "w", "{"), (0, "a1", None, "}"))] == [("w", "{}")]
    assert assembled((0, "a1", None, "{"), (0, None, "w", "}")) == [("a1", "w", "{}")]
    assert assembled((0, "", "w", "{}"))[0][0]


@pytest.mark.parametrize("arguments", ["", " ", "\n"])
def test_a_call_without_arguments_has_an_empty_object(arguments: str) -> None:
    (call,) = assembled((0, "a1", "now", arguments))
    assert json.loads(call[2]) == {}


def test_an_empty_call_among_others_is_completed_alone() -> None:
    calls = assembled((0, "a1", "now", ""), (1, "b1", "w", SEOUL), (2, "c1", "now", "{}"))
    assert [call[2] for call in calls] == ["{}", SEOUL, "{}"]


@pytest.mark.parametrize("streamed", [True, False])
def test_an_answer_of_two_calls_at_one_index_has_two(streamed: bool) -> None:
    calls = [
        {"index": 0, "id": id_, "type": "function", "function": {"name": "w", "arguments": arguments}}
        for id_, arguments in (("a1", SEOUL), ("b1", BUSAN))
    ]
    reader = OpenAIResponseParser()
    if streamed:
        choice: dict[str, Any] = {"index": 0, "delta": {"tool_calls": calls}, "finish_reason": "tool_calls"}
        events = (
            reader.feed(b"data: " + json.dumps({"choices": [choice]}).encode() + b"\n\n") + reader.finish()
        )
    else:
        choice = {"message": {"tool_calls": calls}, "finish_reason": "tool_calls"}
        events = reader.parse_body(json.dumps({"choices": [choice]}).encode())
    found = [(e.index, e.id, e.arguments) for e in events if isinstance(e, ToolCallDelta)]
    assert found == [(0, "a1", SEOUL), (1, "b1", BUSAN)]


def test_extra_fields_of_a_call_are_emitted_once() -> None:
    calls = ToolCallAssembler()
    extra = {"extra_content": {"google": {"thought_signature": "s"}}}
    assert calls.add_piece(0, "a1", "w", "{", extra) == [ToolCallDelta(0, "a1", "w", "{", extra)]
    assert calls.add_piece(0, None, None, "}") == [ToolCallDelta(0, arguments="}")]
    assert calls.add_piece(0, None, None, "", {"late": 1}) == [
        ToolCallDelta(0, arguments="", extra={"late": 1})
    ]


@pytest.mark.parametrize(
    "pieces",
    [
        [(0, "a1", "get_", ""), (0, None, "weather", ""), (0, None, None, SEOUL)],
        [(0, "a1", "get_", ""), (0, "a1", "weather", ""), (0, "a1", None, SEOUL)],
        [(0, "a1", "get", ""), (0, "a1", "get_weather", ""), (0, "a1", "get_weather", SEOUL)],
        [(0, "a1", "get_weather", ""), (0, "a1", "get_weather", ""), (0, None, "", SEOUL)],
        [(None, "a1", "get_", ""), (None, "a1", "weather", ""), (None, "a1", None, SEOUL)],
    ],
)
def test_a_name_in_fragments_or_repeated_is_one_name(pieces: list[Piece]) -> None:
    assert assembled(*pieces) == [("a1", "get_weather", SEOUL)]


@pytest.mark.parametrize("name", [None, ""])
@pytest.mark.parametrize("index", [0, None])
def test_an_id_that_changes_with_each_fragment_is_one_call(index: int | None, name: str | None) -> None:
    pieces: list[Piece] = [
        (index, "a1", "w", '{"city"'),
        (index, "a2", name, ':"Se'),
        (index, "a3", name, 'oul"}'),
    ]
    assert assembled(*pieces) == BOTH[:1]
    assert assembled(*pieces, (index, "b1", "w", BUSAN)) == BOTH


def test_a_repeated_name_without_index_and_id_continues_the_call() -> None:
    pieces: list[Piece] = [(None, None, "w", part) for part in ("", '{"city":', '"Seoul"', "}")]
    assert [call[1:] for call in assembled(*pieces)] == [("w", SEOUL)]
    twice = assembled((None, None, "now", ""), (None, None, "now", ""))
    assert [call[1:] for call in twice] == [("now", "{}"), ("now", "{}")]


def test_repeated_arguments_are_not_appended() -> None:
    assert assembled((0, "a1", "w", '{"city"'), (0, "a1", "w", SEOUL)) == BOTH[:1]
    assert (
        assembled((0, "a1", "w", '{"city":"Seo'), (0, None, None, 'ul"}'), (0, "a1", "w", SEOUL)) == BOTH[:1]
    )
    assert assembled((0, "a1", "w", SEOUL), (0, "a1", "w", SEOUL)) == BOTH[:1]


def test_calls_with_the_same_id_get_unique_ids() -> None:
    first, second = assembled((0, "x", "w", SEOUL), (1, "x", "w", BUSAN))
    assert first[0] == "x"
    assert second[0] not in (None, "", "x")


@pytest.mark.parametrize("pair", [((0, "x"), (1, "x")), ((0, "x"), (0, "x")), ((0, None), (0, None))])
def test_a_different_name_starts_another_call(pair: Any) -> None:
    (index, id_), (other, same) = pair
    calls = assembled((index, id_, "get_", ""), (index, None, "now", ""), (other, same, "w", SEOUL))
    assert [call[1:] for call in calls] == [("get_now", "{}"), ("w", SEOUL)]


def test_an_empty_last_fragment_is_not_a_call() -> None:
    calls = ToolCallAssembler()
    calls.add_piece(0, "a1", "w", SEOUL)
    assert calls.add_piece(1, None, None, "") == []
    assert not calls.has_unnamed_call
    assert len(calls) == 1
    calls.add_piece(2, None, None, "{}")
    assert calls.has_unnamed_call


def test_calls_start_in_order() -> None:
    calls = ToolCallAssembler()
    events = calls.add_piece(0, "a1", "now", "") + calls.add_piece(1, "b1", "w", SEOUL) + calls.finish()
    assert events == [
        ToolCallDelta(0, "a1", "now", ""),
        ToolCallDelta(1, "b1", "w", SEOUL),
        ToolCallDelta(0, arguments="{}"),
    ]


def answer_of(*deltas: Any) -> list[tuple[str | None, str]]:
    """Return (name, arguments) of the calls of a stream with these `tool_calls` per chunk."""
    reader, events = OpenAIResponseParser(), []
    for delta in deltas:
        data = json.dumps({"choices": [{"index": 0, "delta": delta}]})
        events += reader.feed(b"data: " + data.encode() + b"\n\n")
        assert reader.error is None
    end = json.dumps({"choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}]})
    events += reader.feed(b"data: " + end.encode() + b"\n\n") + reader.finish()
    found: dict[int, list[Any]] = {}
    for event in events:
        if isinstance(event, ToolCallDelta):
            found.setdefault(event.index, [event.name, ""])[1] += event.arguments
    return [(name, arguments) for name, arguments in found.values()]


def call(**function: Any) -> dict[str, Any]:
    return {"function": function}


@pytest.mark.parametrize(
    "deltas",
    [
        [
            {"tool_calls": [call(name="w", arguments=""), call(name="v", arguments="")]},
            {"tool_calls": [call(arguments='{"city":'), call(arguments="{")]},
            {"tool_calls": [call(arguments='"Seoul"}'), call(arguments="}")]},
        ],
        [
            {
                "tool_calls": [
                    {"index": 0, **call(name="w", arguments=SEOUL)},
                    None,
                    {"id": 7, **call(name="v")},
                ]
            }
        ],
        [
            {"tool_calls": [{"index": 0, "id": 1, **call(name="w", arguments={})}]},
            {"tool_calls": [{"index": 0, **call(arguments=SEOUL)}]},
            {"tool_calls": {"index": 1, "id": 2, **call(name="v", arguments=None)}},
        ],
        [
            {"function_call": {"name": "w", "arguments": SEOUL}},
            {"tool_calls": [{"index": 1, **call(name="v")}]},
        ],
    ],
)
def test_calls_in_unusual_forms_are_parsed(deltas: list[Any]) -> None:
    assert answer_of(*deltas) == [("w", SEOUL), ("v", "{}")]


def test_complete_calls_stay_separate_whatever_they_share() -> None:
    calls = [{"id": "a1", **call(name="now", arguments="")}, {"id": "a1", **call(name="now", arguments="")}]
    body = {"choices": [{"message": {"tool_calls": calls}, "finish_reason": "stop"}]}
    events = OpenAIResponseParser().parse_body(json.dumps(body).encode())
    begun = [event for event in events if isinstance(event, ToolCallDelta) and event.id]
    assert [event.name for event in begun] == ["now", "now"]
    assert len({event.id for event in begun}) == 2
