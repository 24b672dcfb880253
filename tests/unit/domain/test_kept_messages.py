"""What is kept of calls and their results, and how a history with them is read."""

from __future__ import annotations

import json

import pytest

from gateway.core.ids import new_id
from gateway.domain.kept_messages import NO_RESULT, kept, open_calls, paired, read_back
from gateway.domain.ledger import Said, readable
from gateway.domain.messages import ImagePart, Message, TextPart, ToolCall

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
    assert read_back(json.loads(json.dumps(kept(messages)))) == messages


def test_calls_are_open_until_they_are_answered() -> None:
    assert open_calls([Message("user", "q"), ASKED]) == (CALL, OTHER)
    assert open_calls([Message("user", "q"), ASKED, SECOND]) == (CALL,)
    assert open_calls([ASKED, RESULT, SECOND]) == ()
    assert open_calls([ASKED, RESULT, SECOND, Message("assistant", "Done.")]) == ()


def test_every_result_has_its_call_and_every_call_its_result() -> None:
    stray = Message("tool", "?", tool_call_id="x")
    shown = [
        m for _, m in paired([stray, Message("user", "q"), ASKED, SECOND, Message("user", "more"), stray])
    ]
    assert [m.role for m in shown] == ["user", "assistant", "tool", "tool", "user"]
    assert {m.tool_call_id: m.content for m in shown if m.role == "tool"} == {"a": NO_RESULT, "b": "two"}
    assert [m for _, m in paired([Message("user", "q"), ASKED])][-1] == ASKED


def branch(*rows: tuple[str, str, Said], summary: str | None = None):
    ids = [new_id() for _ in rows]
    beside = {at: said for at, (_, _, said) in enumerate(rows) if said != Said()}
    found = readable(ids, [r for r, _, _ in rows], [c for _, c, _ in rows], summary, beside)
    assert len(found.marks) == len(found.messages) + 1
    return ids, found


def test_a_question_that_is_results_stands_behind_its_calls() -> None:
    ids, found = branch(
        ("user", "q", Said()),
        ("assistant", "", Said(calls=(CALL, OTHER))),
        ("user", "one two", Said(messages=(RESULT, SECOND))),
        ("assistant", "Done.", Said()),
    )
    assert [m.role for m in found.messages] == ["user", "assistant", "tool", "tool", "assistant"]
    assert found.marks == (None, ids[0], ids[1], ids[1], ids[2], ids[3])


def test_results_that_were_never_answered_go_and_their_calls_stay_marked() -> None:
    _, found = branch(
        ("user", "q", Said()),
        ("assistant", "", Said(calls=(CALL, OTHER))),
        ("user", "one two", Said(messages=(RESULT, SECOND))),
        ("assistant", "", Said()),
        ("user", "again", Said()),
        ("assistant", "Done.", Said()),
    )
    assert [m.text for m in found.messages] == ["q", "", NO_RESULT, NO_RESULT, "again", "Done."]


def test_calls_of_a_row_that_is_summed_up_are_still_there_to_be_answered() -> None:
    ids, found = branch(
        ("assistant", "", Said(calls=(CALL, OTHER))),
        ("user", "one two", Said(messages=(RESULT, SECOND))),
        ("assistant", "Done.", Said()),
        summary="notes",
    )
    assert [m.role for m in found.messages] == ["assistant", "tool", "tool", "assistant"]
    assert found.marks[0] == ids[0]


def test_an_exchange_that_goes_on_is_part_of_the_question() -> None:
    _, found = branch(
        ("user", "first", Said()),
        ("assistant", "yes", Said()),
        ("user", "q", Said()),
        ("assistant", "", Said(calls=(CALL, OTHER))),
    )
    before, question = found.followed_by((RESULT,))
    assert [m.text for m in before.messages] == ["first", "yes"]
    assert len(before.marks) == 3
    assert [m.role for m in question] == ["user", "assistant", "tool", "tool"]
    assert {m.tool_call_id for m in question if m.role == "tool"} == {"a", "b"}
    assert before.followed_by((Message("user", "new"),)) == (before, (Message("user", "new"),))
