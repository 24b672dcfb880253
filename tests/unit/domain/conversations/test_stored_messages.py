"""What is kept of calls and their results, and how a history with them is read."""

from __future__ import annotations

import json

import pytest

from gateway.core.ids import new_id
from gateway.domain.conversations.stored_messages import (
    MISSING_RESULT,
    from_storage,
    pair_results,
    to_storage,
    unanswered_calls,
)
from gateway.domain.messages import ImagePart, Message, TextPart, ToolCall
from gateway.domain.usage.turn_records import StoredParts, build_branch

CALL, OTHER = ToolCall("a", "lookup", "{}"), ToolCall("b", "lookup", "{}")
ASKED = Message("assistant", "", (CALL, OTHER))
RESULT = Message("tool", "one", tool_call_id="a")
SECOND = Message("tool", "two", tool_call_id="b")


@pytest.mark.parametrize(
    "messages",
    [
        (Message("user", "Hi", name="ada"),),
        (Message("user", (TextPart("What?"), ImagePart("data:image/png;base64,AA==", "low"))),),
        (ASKED, RESULT, SECOND, Message("system", "Be exact.")),
    ],
)
def test_what_is_kept_is_read_back_as_it_was(messages: tuple[Message, ...]) -> None:
    assert from_storage(json.loads(json.dumps(to_storage(messages)))) == messages


def test_calls_are_open_until_they_are_answered() -> None:
    assert unanswered_calls([Message("user", "q"), ASKED]) == (CALL, OTHER)
    assert unanswered_calls([Message("user", "q"), ASKED, SECOND]) == (CALL,)
    assert unanswered_calls([ASKED, RESULT, SECOND]) == ()
    assert unanswered_calls([ASKED, RESULT, SECOND, Message("assistant", "Done.")]) == ()


def test_every_result_has_its_call_and_every_call_its_result() -> None:
    stray = Message("tool", "?", tool_call_id="x")
    shown = [
        m
        for _, m in pair_results([stray, Message("user", "q"), ASKED, SECOND, Message("user", "more"), stray])
    ]
    assert [m.role for m in shown] == ["user", "assistant", "tool", "tool", "user"]
    assert {m.tool_call_id: m.content for m in shown if m.role == "tool"} == {"a": MISSING_RESULT, "b": "two"}
    assert [m for _, m in pair_results([Message("user", "q"), ASKED])][-1] == ASKED


def branch(*rows: tuple[str, str, StoredParts], summary: str | None = None):
    ids = [new_id() for _ in rows]
    beside = {at: said for at, (_, _, said) in enumerate(rows) if said != StoredParts()}
    found = build_branch(ids, [r for r, _, _ in rows], [c for _, c, _ in rows], summary, beside)
    assert len(found.summary_message_ids) == len(found.messages) + 1
    return ids, found


def test_a_question_that_is_results_stands_behind_its_calls() -> None:
    ids, found = branch(
        ("user", "q", StoredParts()),
        ("assistant", "", StoredParts(tool_calls=(CALL, OTHER))),
        ("user", "one two", StoredParts(messages=(RESULT, SECOND))),
        ("assistant", "Done.", StoredParts()),
    )
    assert [m.role for m in found.messages] == ["user", "assistant", "tool", "tool", "assistant"]
    assert found.marks == (None, ids[0], ids[1], ids[1], ids[2], ids[3])


def test_results_that_were_never_answered_go_and_their_calls_stay_marked() -> None:
    _, found = branch(
        ("user", "q", StoredParts()),
        ("assistant", "", StoredParts(tool_calls=(CALL, OTHER))),
        ("user", "one two", StoredParts(messages=(RESULT, SECOND))),
        ("assistant", "", StoredParts()),
        ("user", "again", StoredParts()),
        ("assistant", "Done.", StoredParts()),
    )
    assert [m.text for m in found.messages] == ["q", "", MISSING_RESULT, MISSING_RESULT, "again", "Done."]


def test_calls_of_a_row_that_is_summed_up_are_still_there_to_be_answered() -> None:
    ids, found = branch(
        ("assistant", "", StoredParts(tool_calls=(CALL, OTHER))),
        ("user", "one two", StoredParts(messages=(RESULT, SECOND))),
        ("assistant", "Done.", StoredParts()),
        summary="notes",
    )
    assert [m.role for m in found.messages] == ["assistant", "tool", "tool", "assistant"]
    assert found.marks[0] == ids[0]


def test_an_exchange_that_goes_on_is_part_of_the_question() -> None:
    _, found = branch(
        ("user", "first", StoredParts()),
        ("assistant", "yes", StoredParts()),
        ("user", "q", StoredParts()),
        ("assistant", "", StoredParts(tool_calls=(CALL, OTHER))),
    )
    before, question = found.split_open_exchange((RESULT,))
    assert [m.text for m in before.messages] == ["first", "yes"]
    assert len(before.marks) == 3
    assert [m.role for m in question] == ["user", "assistant", "tool", "tool"]
    assert {m.tool_call_id for m in question if m.role == "tool"} == {"a", "b"}
    assert before.split_open_exchange((Message("user", "new"),)) == (before, (Message("user", "new"),))
