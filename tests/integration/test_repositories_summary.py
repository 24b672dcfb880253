"""Summaries are stored with the message they cover and limit the branch."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from uuid import UUID

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.core.database import create_engine
from gateway.core.exceptions import NotFound, TurnInProgress
from gateway.core.ids import new_id
from gateway.domain.conversations.branch import BranchSummary
from gateway.domain.usage.turn_records import NewTurn
from gateway.repositories.turns.repository import TurnRepository
from tests.support.database import (
    begin_turn,
    complete_turn,
    create_account,
    fetch_rows,
    finish_turn,
    wait_for_row,
)


@pytest.fixture
async def engine(database_url: str) -> AsyncIterator[AsyncEngine]:
    engine = create_engine(database_url, pool_size=5)
    yield engine
    await engine.dispose()


@pytest.fixture
def turns(engine: AsyncEngine) -> TurnRepository:
    return TurnRepository(engine)


@pytest.fixture
async def user(engine: AsyncEngine) -> UUID:
    return await create_account(engine)


async def talk(turns: TurnRepository, user: UUID, count: int) -> list[tuple[UUID, UUID]]:
    """(question, answer) of `count` turns of one conversation, whose id is the last pair's first."""
    begun = await complete_turn(turns, user, "q0", "a0")
    ids = [(begun.question_id, begun.answer_id)]
    for n in range(1, count):
        more = await complete_turn(turns, user, f"q{n}", f"a{n}", conversation_id=begun.conversation_id)
        ids.append((more.question_id, more.answer_id))
    return [*ids, (begun.conversation_id, begun.conversation_id)]


async def test_branch_is_read_back_to_its_newest_summary(engine, turns, user) -> None:
    *ids, (conversation_id, _) = await talk(turns, user, 4)
    last = await begin_turn(turns, user, "q4", conversation_id=conversation_id)
    branch = last.opened.branch
    assert (branch.summary, branch.row_count, len(branch.messages)) == (None, 8, 8)
    # Two exchanges are summed up: that goes to the second one's answer.
    assert branch.summary_message_ids[4] == ids[1][1]
    await finish_turn(
        turns, last, "a4", summary=BranchSummary(branch.summary_message_ids[4], "What\x00 q0 and q1 said.")
    )
    after = await begin_turn(turns, user, "q5", conversation_id=conversation_id)
    assert after.opened.branch.summary == "What q0 and q1 said."
    assert after.history_texts == ["q2", "a2", "q3", "a3", "q4", "a4"]
    assert after.opened.branch.row_count == 7
    assert after.opened.branch.summary_message_ids[0] == ids[1][1]
    assert after.opened.branch.summary_message_ids[2] == ids[2][1]
    await finish_turn(
        turns, after, "a5", summary=BranchSummary(after.opened.branch.summary_message_ids[2], "Up to q2.")
    )
    # Branches from behind, within and before what is summed up read what is theirs.
    for parent, summary, said in (
        (after.answer_id, "Up to q2.", ["q3", "a3", "q4", "a4", "q5", "a5"]),
        (ids[2][1], "Up to q2.", []),
        (ids[1][1], "What q0 and q1 said.", []),
        (ids[0][1], None, ["q0", "a0"]),
    ):
        turn = await begin_turn(turns, user, "again", conversation_id=conversation_id, parent_id=parent)
        assert (turn.opened.branch.summary, turn.history_texts) == (summary, said)
        await finish_turn(turns, turn, "ok")


async def test_turn_that_waited_reads_a_summary_written_meanwhile(engine, turns, user) -> None:
    *ids, (conversation_id, _) = await talk(turns, user, 3)
    async with engine.connect() as holder:
        # Another writer holds the conversation while the turn's statement has begun.
        await holder.exec_driver_sql(f"UPDATE conversations SET title = 'x' WHERE id = '{conversation_id}'")
        await holder.exec_driver_sql(f"UPDATE messages SET summary = 'all' WHERE id = '{ids[2][1]}'")
        waiting = asyncio.create_task(begin_turn(turns, user, "q3", conversation_id=conversation_id))
        await wait_for_row(
            engine,
            "SELECT 1 AS waits FROM pg_stat_activity "
            "WHERE wait_event_type = 'Lock' AND datname = current_database()",
        )
        await holder.commit()
    turn = await waiting
    assert (turn.opened.branch.summary, turn.history_texts) == ("all", [])


async def test_summary_is_stored_only_on_messages_of_the_same_conversation(engine, turns, user) -> None:
    mine = await begin_turn(turns, user, "q")
    other = await complete_turn(turns, await create_account(engine), "theirs", "theirs")
    await finish_turn(turns, mine, "a", summary=BranchSummary(other.answer_id, "mine"))
    assert await fetch_rows(engine, "SELECT summary FROM messages WHERE id = :id", id=other.answer_id) == [
        {"summary": None}
    ]


async def test_question_is_found_by_itself_and_its_answers_only_for_its_account(engine, turns, user) -> None:
    first = await complete_turn(turns, user, "q0", "a0")
    second = await complete_turn(turns, user, "q1", "a1", conversation_id=first.conversation_id)
    for name in (second.question_id, second.answer_id):
        asked = await turns.get_question(user, name)
        assert (asked.id, asked.text) == (second.question_id, "q1")
        assert (asked.conversation_id, asked.parent_id) == (first.conversation_id, first.answer_id)
    assert (await turns.get_question(user, first.answer_id)).parent_id is None
    stranger = await create_account(engine)
    for owner, name in ((stranger, second.answer_id), (user, new_id())):
        with pytest.raises(NotFound):
            await turns.get_question(owner, name)


async def test_answer_is_added_beside_other_answers_of_its_question(engine, turns, user) -> None:
    first = await complete_turn(turns, user, "q0", "a0")
    again = NewTurn(
        user,
        "q0",
        first.question_id,
        new_id(),
        conversation_id=first.conversation_id,
        as_root=True,
        is_regeneration=True,
    )
    opened = await turns.open_turn(again)
    assert (opened.parent_id, opened.history) == (None, ())
    with pytest.raises(TurnInProgress):
        await turns.open_turn(replace(again, answer_id=new_id()))
    kept = await fetch_rows(
        engine,
        "SELECT role, parent_id FROM messages WHERE conversation_id = :c ORDER BY created_at, id",
        c=first.conversation_id,
    )
    assert [(row["role"], row["parent_id"]) for row in kept] == [
        ("user", None),
        ("assistant", first.question_id),
        ("assistant", first.question_id),
    ]
    [head] = await fetch_rows(
        engine, "SELECT head_id FROM conversations WHERE id = :c", c=first.conversation_id
    )
    assert head["head_id"] == again.answer_id
