"""A persisted turn: locking a conversation, its branch, answer and usage."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from decimal import Decimal
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.core.database import create_engine
from gateway.core.exceptions import NotFound, TurnInProgress
from gateway.core.ids import new_id
from gateway.domain.money import Usage
from gateway.domain.usage.turn_records import UsageOwner
from gateway.repositories.turns.repository import TurnRepository
from gateway.repositories.turns.running import RunningTurnRepository
from tests.support.database import (
    begin_turn,
    complete_turn,
    create_account,
    fetch_rows,
    finish_turn,
    usage_entry,
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


async def stored(engine: AsyncEngine, message_id: UUID) -> dict[str, object]:
    (row,) = await fetch_rows(engine, "SELECT * FROM messages WHERE id = :id", id=message_id)
    return row


async def test_first_turn_creates_a_conversation_with_question_and_pending_answer(engine, turns, user):
    begun = await begin_turn(
        turns,
        user,
        "Why is the sky blue?",
        title="Sky",
        model="auto",
        system="Be brief.",
        metadata={"a": [1]},
    )
    (conversation,) = await fetch_rows(
        engine, "SELECT * FROM conversations WHERE id = :id", id=begun.conversation_id
    )
    assert (conversation["title"], conversation["model"], conversation["system"]) == (
        "Sky",
        "auto",
        "Be brief.",
    )
    assert conversation["head_id"] == conversation["running_message_id"] == begun.answer_id
    assert begun.opened.history == ()
    question, answer = await stored(engine, begun.question_id), await stored(engine, begun.answer_id)
    assert (question["role"], question["content"], question["status"]) == (
        "user",
        "Why is the sky blue?",
        "complete",
    )
    assert question["metadata"] == {"a": [1]}
    assert question["parent_id"] is None
    assert (answer["role"], answer["content"], answer["status"]) == ("assistant", "", "pending")
    assert answer["parent_id"] == begun.question_id


async def test_later_turn_reads_the_branch_and_continues_its_head(engine, turns, user):
    first = await complete_turn(turns, user, "q1", "a1", title="first", system="S", model="m")
    second = await begin_turn(turns, user, "q2", conversation_id=first.conversation_id, title="ignored")
    assert second.history_texts == ["q1", "a1"]
    assert [message.role for message in second.opened.history] == ["user", "assistant"]
    assert (second.opened.title, second.opened.system, second.opened.model) == ("first", "S", "m")
    assert second.opened.parent_id == first.answer_id
    assert second.opened.lock_token == first.opened.lock_token + 1
    assert (await stored(engine, second.question_id))["parent_id"] == first.answer_id


async def test_untitled_conversation_gets_its_title_from_the_turn(engine, turns, user):
    first = await complete_turn(turns, user, "q1", "a1", title="")
    second = await begin_turn(turns, user, "q2", conversation_id=first.conversation_id, title="Late title")
    assert second.opened.title == "Late title"
    (row,) = await fetch_rows(
        engine, "SELECT title FROM conversations WHERE id = :id", id=first.conversation_id
    )
    assert row["title"] == "Late title"


async def test_earlier_parent_creates_a_sibling_branch(turns, user):
    first = await complete_turn(turns, user, "q1", "a1")
    await complete_turn(turns, user, "q2", "a2", conversation_id=first.conversation_id)
    edited = await begin_turn(
        turns, user, "q2 again", conversation_id=first.conversation_id, parent_id=first.answer_id
    )
    assert edited.history_texts == ["q1", "a1"]
    await finish_turn(turns, edited, "a2 again")
    after = await begin_turn(turns, user, "q3", conversation_id=first.conversation_id)
    assert after.history_texts == ["q1", "a1", "q2 again", "a2 again"]


async def test_busy_conversation_rejects_another_turn_and_stores_nothing(engine, turns, user):
    first = await begin_turn(turns, user, "q1")
    with pytest.raises(TurnInProgress):
        await begin_turn(turns, user, "q2", conversation_id=first.conversation_id)
    found = await fetch_rows(
        engine, "SELECT id FROM messages WHERE conversation_id = :id", id=first.conversation_id
    )
    assert len(found) == 2
    await finish_turn(turns, first, "a1")
    assert (await begin_turn(turns, user, "q2", conversation_id=first.conversation_id)).history_texts == [
        "q1",
        "a1",
    ]


async def test_of_eight_concurrent_turns_one_locks_the_conversation(turns, user):
    first = await complete_turn(turns, user, "q1", "a1")
    results = await asyncio.gather(
        *(begin_turn(turns, user, f"q{n}", conversation_id=first.conversation_id) for n in range(8)),
        return_exceptions=True,
    )
    refused = [result for result in results if isinstance(result, BaseException)]
    assert len(refused) == 7
    assert all(isinstance(result, TurnInProgress) for result in refused)


async def test_turns_that_wait_for_each_other_lose_no_message(turns, user):
    first = await complete_turn(turns, user, "start", "ok")

    async def one(number: int) -> None:
        while True:
            try:
                begun = await begin_turn(
                    turns, user, f"q{number}", conversation_id=first.conversation_id, history_limit=500
                )
            except TurnInProgress:
                await asyncio.sleep(0)
                continue
            await finish_turn(turns, begun, f"a{number}")
            return

    await asyncio.gather(*(one(number) for number in range(20)))
    last = await begin_turn(turns, user, "last", conversation_id=first.conversation_id, history_limit=500)
    questions = last.history_texts[2::2]
    assert sorted(questions) == sorted(f"q{number}" for number in range(20))
    assert last.history_texts[3::2] == [question.replace("q", "a") for question in questions]


async def test_turn_that_waited_for_another_reads_its_answer(engine, turns, user):
    first = await begin_turn(turns, user, "q1")
    async with engine.connect() as finishing:
        # The end of a turn, written but not yet committed: its rows are locked and its answer is unseen.
        await finishing.execute(
            text("UPDATE messages SET content = 'a1', status = 'complete' WHERE id = :id"),
            {"id": first.answer_id},
        )
        await finishing.execute(
            text("UPDATE conversations SET running_message_id = NULL WHERE id = :id"),
            {"id": first.conversation_id},
        )
        waiting = asyncio.create_task(begin_turn(turns, user, "q2", conversation_id=first.conversation_id))
        await wait_for_row(
            engine,
            "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()",
        )
        await finishing.commit()
    assert (await waiting).history_texts == ["q1", "a1"]


async def test_expired_lease_of_a_dead_process_unlocks_the_conversation(engine, turns, user):
    dead = await begin_turn(turns, user, "q1", lease_seconds=0)
    after = await begin_turn(turns, user, "q2", conversation_id=dead.conversation_id)
    assert after.history_texts == []
    assert (await stored(engine, dead.answer_id))["status"] == "interrupted"
    # The dead one comes back: what others have ended stays ended, the conversation with its successor.
    await finish_turn(turns, dead, "late")
    assert (await stored(engine, dead.answer_id))["content"] == ""
    with pytest.raises(TurnInProgress):
        await begin_turn(turns, user, "q3", conversation_id=dead.conversation_id)


async def test_expired_leases_are_released(engine, turns, user):
    dead = await begin_turn(turns, user, "q1", lease_seconds=0)
    alive = await begin_turn(turns, user, "q1")
    assert await RunningTurnRepository(engine).release_expired()
    assert (await stored(engine, dead.answer_id))["status"] == "interrupted"
    assert (await stored(engine, alive.answer_id))["status"] == "pending"
    found = await fetch_rows(
        engine,
        "SELECT id FROM conversations WHERE user_id = :user AND running_message_id IS NOT NULL",
        user=user,
    )
    assert [row["id"] for row in found] == [alive.conversation_id]


@pytest.mark.parametrize("status", ["failed", "cancelled", "interrupted"])
async def test_question_without_an_answer_is_left_out_of_the_history(turns, user, status):
    first = await complete_turn(turns, user, "q1", "a1")
    bad = await begin_turn(turns, user, "bad", conversation_id=first.conversation_id)
    await finish_turn(turns, bad, "", status=status)
    assert (await begin_turn(turns, user, "q2", conversation_id=first.conversation_id)).history_texts == [
        "q1",
        "a1",
    ]


async def test_interrupted_answer_is_read_with_its_partial_text(turns, user):
    cut = await begin_turn(turns, user, "q1")
    await finish_turn(turns, cut, "half an ans", status="cancelled")
    assert (await begin_turn(turns, user, "q2", conversation_id=cut.conversation_id)).history_texts == [
        "q1",
        "half an ans",
    ]


async def test_long_branch_is_truncated_and_starts_with_a_question(turns, user):
    first = await complete_turn(turns, user, "q0", "a0")
    for number in range(1, 5):
        await complete_turn(turns, user, f"q{number}", f"a{number}", conversation_id=first.conversation_id)
    cut = await begin_turn(turns, user, "now", conversation_id=first.conversation_id, history_limit=5)
    assert cut.history_texts == ["q3", "a3", "q4", "a4"]


@pytest.mark.parametrize("which", ["unknown", "another owner's"])
async def test_missing_or_foreign_conversation_is_not_found(engine, turns, user, which):
    theirs = await complete_turn(turns, await create_account(engine), "q", "a")
    conversation_id = new_id() if which == "unknown" else theirs.conversation_id
    with pytest.raises(NotFound):
        await begin_turn(turns, user, "q2", conversation_id=conversation_id)


async def test_parent_outside_the_conversation_is_not_found_and_does_not_lock_it(turns, user):
    mine = await complete_turn(turns, user, "q1", "a1")
    other = await complete_turn(turns, user, "q", "a")
    for parent_id in (other.answer_id, new_id()):
        with pytest.raises(NotFound):
            await begin_turn(turns, user, "q2", conversation_id=mine.conversation_id, parent_id=parent_id)
    with pytest.raises(NotFound):
        await begin_turn(turns, user, "q2", parent_id=mine.answer_id)
    assert (await begin_turn(turns, user, "q2", conversation_id=mine.conversation_id)).history_texts == [
        "q1",
        "a1",
    ]


async def test_closing_a_turn_stores_answer_and_usage_and_unlocks_the_conversation(engine, turns, user):
    begun = await begin_turn(turns, user, "q1")
    calls = [
        usage_entry(),
        usage_entry(
            kind="tool", model="calculator", provider="gateway", outcome="upstream_timeout", latency_ms=7
        ),
    ]
    await finish_turn(
        turns,
        begun,
        "the answer",
        calls=calls,
        model="small",
        provider="mock",
        finish_reason="stop",
        usage=Usage(30, 40),
        cost_usd=Decimal("0.0000000001"),
        receipt={"intent": "chat"},
        tool_calls=[{"id": "c1", "name": "calculator", "arguments": "{}"}],
    )
    answer = await stored(engine, begun.answer_id)
    assert (answer["content"], answer["status"], answer["model"], answer["provider"]) == (
        "the answer",
        "complete",
        "small",
        "mock",
    )
    assert (answer["prompt_tokens"], answer["completion_tokens"]) == (30, 40)
    assert answer["cost_usd"] == Decimal("0.0000000001")
    assert answer["receipt"] == {"intent": "chat"}
    assert answer["tool_calls"] == [{"id": "c1", "name": "calculator", "arguments": "{}"}]
    assert answer["completed_at"] is not None
    (conversation,) = await fetch_rows(
        engine, "SELECT * FROM conversations WHERE id = :id", id=begun.conversation_id
    )
    assert conversation["running_message_id"] is None
    assert conversation["head_id"] == begun.answer_id
    usage = await fetch_rows(
        engine, "SELECT * FROM usage_records WHERE message_id = :id ORDER BY kind", id=begun.answer_id
    )
    assert [(row["kind"], row["model"], row["outcome"]) for row in usage] == [
        ("chat", "small", "ok"),
        ("tool", "calculator", "upstream_timeout"),
    ]
    assert usage[0]["cost_usd"] == Decimal("0.0000000001")
    assert (usage[0]["prompt_tokens"], usage[0]["completion_tokens"]) == (3, 4)
    assert usage[0]["user_id"] == user
    assert usage[1]["latency_ms"] == 7


async def test_closing_a_turn_twice_charges_once(engine, turns, user):
    begun = await begin_turn(turns, user, "q1")
    turn = await finish_turn(turns, begun, "a1", calls=[usage_entry()])
    await turns.close_turn(turn)
    assert (
        len(
            await fetch_rows(engine, "SELECT 1 FROM usage_records WHERE message_id = :id", id=begun.answer_id)
        )
        == 1
    )


async def test_usage_is_recorded_after_conversation_or_account_were_deleted(engine, turns, user):
    begun = await begin_turn(turns, user, "q1")
    await fetch_rows(engine, "DELETE FROM conversations WHERE id = :id RETURNING 1", id=begun.conversation_id)
    first, second = usage_entry(), usage_entry()
    await finish_turn(turns, begun, "a1", calls=[first])
    await fetch_rows(engine, "DELETE FROM users WHERE id = :id RETURNING 1", id=user)
    await finish_turn(turns, begun, "a1", calls=[second])
    kept = "SELECT user_id, message_id FROM usage_records WHERE id IN (:first, :second) ORDER BY id"
    usage = await fetch_rows(engine, kept, first=first.id, second=second.id)
    assert [row["user_id"] for row in usage] == [None, None]
    assert usage[1]["message_id"] is None  # what comes after the account is nobody's altogether


async def test_answer_of_another_account_cannot_be_stored(engine, turns, user):
    begun = await begin_turn(turns, user, "q1")
    await finish_turn(turns, replace(begun, user_id=await create_account(engine)), "forged")
    assert (await stored(engine, begun.answer_id))["content"] == ""


async def test_usage_of_a_request_without_conversation_is_recorded(engine, turns, user):
    key_id = new_id()
    await turns.record_usage(
        UsageOwner(user, "req-7", api_key_id=key_id), [usage_entry(), usage_entry(outcome="x")]
    )
    await turns.record_usage(UsageOwner(user, "req-7", api_key_id=key_id), [])
    usage = await fetch_rows(engine, "SELECT * FROM usage_records WHERE api_key_id = :id", id=key_id)
    assert sorted(row["outcome"] for row in usage) == ["ok", "x"]
    assert {row["request_id"] for row in usage} == {"req-7"}


async def test_text_that_postgresql_cannot_store_is_cleaned(engine, turns, user):
    begun = await begin_turn(turns, user, "a\x00b\ud800", title="t\x00", metadata={"k": "x\x00y\ud800"})
    await finish_turn(turns, begun, "c\x00d\udfff ✓", receipt={"note": "\x00 \\u0000 ✓"})
    question, answer = await stored(engine, begun.question_id), await stored(engine, begun.answer_id)
    assert (question["content"], answer["content"]) == ("ab?", "cd? ✓")
    assert question["metadata"] == {"k": "xy?"}
    assert answer["receipt"] == {"note": " \\u0000 ✓"}


async def test_turn_of_a_deleted_account_is_rejected(engine, turns, user):
    await fetch_rows(engine, "DELETE FROM users WHERE id = :id RETURNING 1", id=user)
    with pytest.raises(NotFound):
        await begin_turn(turns, user, "q1")
