"""How tool calls and their results are stored, and how a history with them is built."""

from __future__ import annotations

import json

import pytest

from gateway.core.ids import new_id
from gateway.domain.conversations.branch import StoredParts, build_branch
from gateway.domain.conversations.stored_messages import (
    MISSING_RESULT,
    from_storage,
    pair_results,
    to_storage,
    unanswered_calls,
)
from gateway.domain.messages import ImagePart, Message, TextPart, ToolCall

CALL, OTHER = ToolCall("a", "lookup", "{}"), ToolCall("b", "lookup", "{}")
CALLS = Message("assistant", "", (CALL, OTHER))
RESULT = Message("tool", "one", tool_call_id="a")
SECOND = Message("tool", "two", tool_call_id="b")


@pytest.mark.parametrize(
    "messages",
    [
        (Message("user", "Hi", name="ada"),),
        (Message("user", (TextPart("What?"), ImagePart("data:image/png;base64,AA==", "low"))),),
        (CALLS, RESULT, SECOND, Message("system", "Be exact.")),
    ],
)
def test_messages_survive_storage(messages: tuple[Message, ...]) -> None:
    assert from_storage(json.loads(json.dumps(to_storage(messages)))) == messages


def test_calls_are_unanswered_until_they_have_results() -> None:
    assert unanswered_calls([Message("user", "q"), CALLS]) == (CALL, OTHER)
    assert unanswered_calls([Message("user", "q"), CALLS, SECOND]) == (CALL,)
    assert unanswered_calls([CALLS, RESULT, SECOND]) == ()
    assert unanswered_calls([CALLS, RESULT, SECOND, Message("assistant", "Done.")]) == ()


def test_every_result_has_its_call_and_every_call_its_result() -> None:
    stray = Message("tool", "?", tool_call_id="x")
    messages = [
        m
        for _, m in pair_results([stray, Message("user", "q"), CALLS, SECOND, Message("user", "more"), stray])
    ]
    assert [m.role for m in messages] == ["user", "assistant", "tool", "tool", "user"]
    assert {m.tool_call_id: m.content for m in messages if m.role == "tool"} == {
        "a": MISSING_RESULT,
        "b": "two",
    }
    assert [m for _, m in pair_results([Message("user", "q"), CALLS])][-1] == CALLS


def branch(*rows: tuple[str, str, StoredParts], summary: str | None = None):
    ids = [new_id() for _ in rows]
    parts = {at: each for at, (_, _, each) in enumerate(rows) if each != StoredParts()}
    found = build_branch(ids, [r for r, _, _ in rows], [c for _, c, _ in rows], summary, parts)
    assert len(found.summary_message_ids) == len(found.messages) + 1
    return ids, found


def test_results_sent_as_a_question_follow_their_calls() -> None:
    ids, found = branch(
        ("user", "q", StoredParts()),
        ("assistant", "", StoredParts(tool_calls=(CALL, OTHER))),
        ("user", "one two", StoredParts(messages=(RESULT, SECOND))),
        ("assistant", "Done.", StoredParts()),
    )
    assert [m.role for m in found.messages] == ["user", "assistant", "tool", "tool", "assistant"]
    assert found.summary_message_ids == (None, ids[0], ids[1], ids[1], ids[2], ids[3])


def test_unanswered_results_are_dropped_and_their_calls_marked() -> None:
    _, found = branch(
        ("user", "q", StoredParts()),
        ("assistant", "", StoredParts(tool_calls=(CALL, OTHER))),
        ("user", "one two", StoredParts(messages=(RESULT, SECOND))),
        ("assistant", "", StoredParts()),
        ("user", "again", StoredParts()),
        ("assistant", "Done.", StoredParts()),
    )
    assert [m.text for m in found.messages] == ["q", "", MISSING_RESULT, MISSING_RESULT, "again", "Done."]


def test_calls_of_a_summarized_message_are_kept_for_their_results() -> None:
    ids, found = branch(
        ("assistant", "", StoredParts(tool_calls=(CALL, OTHER))),
        ("user", "one two", StoredParts(messages=(RESULT, SECOND))),
        ("assistant", "Done.", StoredParts()),
        summary="notes",
    )
    assert [m.role for m in found.messages] == ["assistant", "tool", "tool", "assistant"]
    assert found.summary_message_ids[0] == ids[0]


def test_an_open_exchange_is_part_of_the_question() -> None:
    _, found = branch(
        ("user", "first", StoredParts()),
        ("assistant", "yes", StoredParts()),
        ("user", "q", StoredParts()),
        ("assistant", "", StoredParts(tool_calls=(CALL, OTHER))),
    )
    before, question = found.split_open_exchange((RESULT,))
    assert [m.text for m in before.messages] == ["first", "yes"]
    assert len(before.summary_message_ids) == 3
    assert [m.role for m in question] == ["user", "assistant", "tool", "tool"]
    assert {m.tool_call_id for m in question if m.role == "tool"} == {"a", "b"}
    assert before.split_open_exchange((Message("user", "new"),)) == (before, (Message("user", "new"),))
