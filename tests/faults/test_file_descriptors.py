"""File descriptors run out: some requests are rejected, no upstream is blamed."""

from __future__ import annotations

import asyncio
import resource
from collections import Counter
from pathlib import Path

import pytest

from tests.faults.summary import RecordFault
from tests.support.two_worker_stage import create_completion, stream_turn, two_worker_stage, worker_processes
from tests.support.upstreams.http_server import Reply

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

ROW = "file descriptors short"
LEFT = 30


def _in_use(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs /proc")
async def test_without_file_descriptors_it_rejects_requests_and_recovers(
    database_url: str, redis_url: str, tmp_path: Path, seen: RecordFault
) -> None:
    async with two_worker_stage(database_url, redis_url, tmp_path, processes=True) as one:
        caller = await one.add_caller()
        worker = worker_processes(one)[0]
        assert (await stream_turn(worker, caller)).assert_one_ending() == "done"
        pid = worker.process.pid
        before = _in_use(pid)
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (before + LEFT, before + LEFT))
        one.upstream.script(Reply(pause=0.2))
        heard = await asyncio.gather(
            *((stream_turn if number % 2 else create_completion)(worker, caller) for number in range(100))
        )
        answered = [each for each in heard if each.status]
        # Connections beyond the limit are closed; accepted ones get a real status.
        ends = Counter(each.assert_one_ending() for each in answered)
        assert set(ends) <= {"done", "200", "503", "error"}, ends
        assert {each.error_code for each in answered if each.assert_one_ending() in ("503", "error")} == {
            "overloaded"
        }
        assert ends["503"] + ends["error"] > 0

        one.upstream.script(Reply())
        assert (await worker.http.get("/health/live")).status_code == 200
        for number in range(10):
            assert (await stream_turn(one.workers[number % 2], caller)).assert_one_ending() == "done"
        breakers = (await worker.http.get("/v1/circuit-breakers", headers=caller.key_headers)).json()["data"]
        assert {(breaker["state"], breaker["failures"]) for breaker in breakers} == {("closed", 0)}
        await one.checker.assert_consistent(calls=False, seconds=60)
    seen(
        ROW,
        times=len(heard),
        what="503, a closed connection or an answer; no upstream was blamed, normal operation afterwards",
        turned_away=len(heard) - ends["done"] - ends["200"],
    )
