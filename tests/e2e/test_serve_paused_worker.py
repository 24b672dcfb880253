"""A worker that is paused for some seconds is not killed."""

from __future__ import annotations

import os
import re
import signal
import time
from pathlib import Path

import httpx
import pytest

from tests.support.gateway_process import GatewayProcess
from tests.support.processes import descendants

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
# uvicorn's own patience is 5 s.
PAUSE_SECONDS = 8


def test_a_worker_paused_for_eight_seconds_survives(
    clean_database: str, clean_redis: str, tmp_path: Path
) -> None:
    given = {"DATABASE_URL": clean_database, "REDIS_URL": clean_redis, "GENERATOR_MODE": "mock"}
    data = tmp_path / "data"
    with GatewayProcess("--workers", "2", "--data-dir", str(data), cwd=tmp_path, **given) as served:
        served.wait_for_banner(200)
        workers = _workers(data)
        deadline = time.monotonic() + 120
        while len(workers) < 2 and time.monotonic() < deadline:
            time.sleep(0.1)
            workers = _workers(data)
        assert len(workers) == 2
        paused = min(workers)
        os.kill(paused, signal.SIGSTOP)
        time.sleep(PAUSE_SECONDS)
        living = {pid for pid, _ in descendants(served.pid)}
        os.kill(paused, signal.SIGCONT)
        assert paused in living
        for _ in range(20):
            assert httpx.get(f"{served.address}/health/live", timeout=60).status_code == 200
        assert workers <= {pid for pid, _ in descendants(served.pid)}


def _workers(data: Path) -> set[int]:
    """The processes that keep metrics."""
    names = (re.fullmatch(r"gauge_live\w+_(\d+)\.db", file.name) for file in (data / "metrics").glob("*.db"))
    return {int(match[1]) for match in names if match is not None}
