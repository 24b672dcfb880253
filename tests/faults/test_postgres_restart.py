"""PostgreSQL restarted under load: a few 503s and no lost turn."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path

import pytest

from tests.faults.summary import RecordFault
from tests.support.private_engines import kill_engine, private_postgres
from tests.support.steady_load import SteadyLoad
from tests.support.two_worker_stage import two_worker_stage
from tests.support.upstreams.http_server import Reply

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

ROW = "PostgreSQL restarted under 20 turns a second"
TURNS_A_SECOND = 20
BACK = 5.0


@pytest.mark.parametrize("how", ["restarted", "killed"])
async def test_a_restart_under_load_rejects_a_few_turns_and_loses_none(
    redis_url: str, tmp_path: Path, how: str, seen: RecordFault
) -> None:
    loop = asyncio.get_running_loop()
    async with (
        private_postgres(tmp_path) as postgres,
        two_worker_stage(postgres.url(), redis_url, tmp_path) as one,
    ):
        one.upstream.script(Reply(pause=0.05))
        load = SteadyLoad(one, [await one.add_caller() for _ in range(5)], TURNS_A_SECOND)
        running = asyncio.create_task(load.run())
        await asyncio.sleep(3)
        down = loop.time()
        await (kill_engine(postgres) if how == "killed" else asyncio.to_thread(postgres.stop))
        await asyncio.to_thread(postgres.start)
        up = loop.time()
        await asyncio.sleep(BACK + 3)
        load.stop()
        await running

        ends = Counter(asked.response.assert_one_ending() for asked in load.turns)
        assert set(ends) <= {"done", "200", "503", "error"}, ends
        for asked in load.turns:
            if asked.response.assert_one_ending() == "error":
                assert asked.response.error_code == "overloaded"
        good = [asked for asked in load.turns if asked.response.assert_one_ending() in ("done", "200")]
        bad = [asked for asked in load.turns if asked not in good]
        assert all(asked.started > down - 1 for asked in bad)
        back = max((asked.started + asked.response.seconds - up for asked in bad), default=0.0)
        assert back < BACK
        assert len(good) > len(load.turns) / 2

        entries = await one.checker.assert_consistent(seconds=90)
        answers = {row["parent_id"]: row for row in entries.answer_rows()}
        asked_once = Counter(row["content"] for row in entries.messages if row["role"] == "user")
        assert max(asked_once.values()) == 1, "a question was kept twice"
        kept = {
            row["content"]: answers[row["id"]]["status"] for row in entries.messages if row["role"] == "user"
        }
        people = [asked for asked in good if asked.question in kept]
        assert len(people) > len(good) / 3  # half of the turns are people's
        assert {kept[asked.question] for asked in people} == {"complete"}
        received = [asked.question for asked in good if "conversation_id" in asked.response.body.decode()]
        assert set(received) <= set(kept), "an accepted turn was lost"
    seen(
        ROW,
        times=len(load.turns),
        what=f"complete answers, or 503 (`overloaded`) while it was {how}",
        refused=len(bad),
        down_for=up - down,
        normal_after=max(back, 0.0),
    )
