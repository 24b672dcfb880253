"""An engine ends with its parent process, and restarts if it dies by itself."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.embedded.engine import Engine, EngineSpec
from gateway.embedded.errors import EngineError
from tests.support.processes import descendants, wait_ended

SLEEPER = "import signal; print('up', flush=True); signal.pause()"


def engine(tmp_path: Path, code: str, **options: float) -> Engine:
    return Engine(
        EngineSpec(
            name="The engine",
            argv=[sys.executable, "-c", code],
            cwd=tmp_path,
            log=tmp_path / "log",
            stop_signal=signal.SIGTERM,
            grace_seconds=options.get("grace_seconds", 5),
            settled_seconds=options.get("settled_seconds", 5),
        )
    )


@pytest.fixture
def sleeper(tmp_path: Path) -> Iterator[Engine]:
    started = engine(tmp_path, SLEEPER)
    started.wait_until(lambda: "up" in (tmp_path / "log").read_text())
    yield started
    started.stop()


def test_stop_leaves_no_process(sleeper: Engine) -> None:
    family = descendants(sleeper.pid)
    assert len(family) == 1
    sleeper.stop()
    assert wait_ended(family, 0) == set()


def test_engine_that_ignores_its_stop_signal_is_killed(tmp_path: Path) -> None:
    deaf = engine(
        tmp_path,
        "import signal, time; signal.signal(15, signal.SIG_IGN); signal.signal(3, signal.SIG_IGN);"
        "print('up', flush=True); time.sleep(600)",
        grace_seconds=0.1,
    )
    deaf.wait_until(lambda: "up" in (tmp_path / "log").read_text())
    family = descendants(deaf.pid)
    deaf.stop()
    assert wait_ended(family, 0) == set()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux signals a child when its parent is killed")
def test_killing_the_supervisor_ends_the_engine(sleeper: Engine) -> None:
    family = descendants(sleeper.pid)
    os.kill(sleeper.pid, signal.SIGKILL)
    assert wait_ended(family) == set()


def test_engine_that_dies_later_is_restarted(tmp_path: Path) -> None:
    brief = engine(tmp_path, "print('up', flush=True); import time; time.sleep(0.05)", settled_seconds=0.01)
    brief.wait_until(lambda: (tmp_path / "log").read_text().count("up") >= 2)
    brief.stop()


def test_ready_engine_is_restarted_until_it_stays_up(tmp_path: Path) -> None:
    """As PostgreSQL, which cannot start while processes of a killed server hold its shared memory."""
    flaky = engine(
        tmp_path,
        "import pathlib, signal, sys; starts = pathlib.Path('starts');"
        "n = len(starts.read_text()) if starts.exists() else 0; starts.write_text('x' * (n + 1));"
        "sys.exit(1) if 0 < n < 4 else print('up', n, flush=True); signal.pause()",
    )
    log = tmp_path / "log"
    flaky.wait_until(lambda: "up 0" in log.read_text())
    (victim,) = [pid for pid, _ in descendants(flaky.pid)]
    os.kill(victim, signal.SIGKILL)
    flaky.wait_until(lambda: "up 4" in log.read_text())
    assert "restarting in" in log.read_text()
    flaky.stop()
    assert not flaky.is_alive


def test_stop_does_not_wait_for_the_restart_delay(tmp_path: Path) -> None:
    dying = engine(
        tmp_path,
        "import pathlib, sys, time; first = not pathlib.Path('again').exists();"
        "pathlib.Path('again').touch(); print('up', flush=True); time.sleep(0.3 if first else 0)",
    )
    log = tmp_path / "log"
    dying.wait_until(lambda: "up" in log.read_text())
    dying.wait_until(lambda: "restarting in 1.6 s" in log.read_text())
    dying.request_stop()
    deadline = time.monotonic() + 1.5
    while dying.is_alive:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_engine_that_dies_while_starting_raises_with_its_log(tmp_path: Path) -> None:
    broken = engine(tmp_path, "import sys; sys.exit('no such option')")
    with pytest.raises(EngineError, match=r"The engine ended while starting.*no such option"):
        broken.wait_until(lambda: False)
