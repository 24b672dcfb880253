"""What a model reads of a stored branch."""

from __future__ import annotations

import pytest

from gateway.domain.ledger import readable_history


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
def test_a_question_without_an_answer_goes_with_it_and_the_branch_begins_with_a_question(branch, read):
    roles, contents = [role for role, _ in branch], [content for _, content in branch]
    assert [message.text for message in readable_history(roles, contents)] == read
