"""Building the model's messages from a stored branch."""

from __future__ import annotations

import pytest

from gateway.core.ids import new_id
from gateway.domain.conversations.branch import build_branch


@pytest.mark.parametrize(
    ("branch", "read"),
    [
        ([], []),
        ([("user", "q"), ("assistant", "a")], ["q", "a"]),
        ([("user", "q"), ("assistant", "")], []),
        ([("user", "q1"), ("assistant", ""), ("user", "q2"), ("assistant", "a2")], ["q2", "a2"]),
        ([("assistant", "a0"), ("user", "q1"), ("assistant", "a1")], ["q1", "a1"]),
        ([("assistant", ""), ("user", "q1"), ("assistant", "a1")], ["q1", "a1"]),
        ([("user", "q1"), ("assistant", "a1"), ("user", "q2")], ["q1", "a1", "q2"]),
    ],
)
def test_unanswered_questions_are_dropped_and_the_branch_starts_with_a_question(branch, read):
    roles, contents = [role for role, _ in branch], [content for _, content in branch]
    ids = [new_id() for _ in branch]
    found = build_branch(ids, roles, contents, None)
    assert [message.text for message in found.messages] == read
    assert found.summary_message_ids[-1] == (ids[-1] if ids else None)
    assert len(found.summary_message_ids) == len(read) + 1
