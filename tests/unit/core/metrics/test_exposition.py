"""Metrics of several workers in one folder are aggregated by any of them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from prometheus_client.mmap_dict import MmapedDict, mmap_key

from gateway.core.metrics import exposition


def write(path: Path, name: str, labels: dict[str, str], value: float) -> None:
    file = MmapedDict(str(path))
    file.write_value(mmap_key(name, name, tuple(labels), tuple(labels.values()), "help"), value, 0.0)
    file.close()


def dead_pid() -> int:
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    return child.pid


def test_counters_of_a_killed_worker_stay_and_its_gauges_are_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
    dead = dead_pid()
    for pid, count in ((os.getpid(), 3.0), (dead, 4.0)):
        answered = {"method": "GET", "path": "/v1/models", "status": "200"}
        counter = MmapedDict(str(tmp_path / f"counter_{pid}.db"))
        key = mmap_key(
            "gateway_requests", "gateway_requests_total", tuple(answered), tuple(answered.values()), "h"
        )
        counter.write_value(key, count, 0.0)
        counter.close()
        write(tmp_path / f"gauge_livesum_{pid}.db", "gateway_in_flight_requests", {}, 1.0)
        write(tmp_path / f"gauge_livemin_{pid}.db", "gateway_database_up", {}, float(pid != dead))
    counted = exposition.totals()
    assert (counted.status, counted.in_flight) == ({200: 7}, 1)
    page = exposition.render().decode()
    assert 'gateway_requests_total{method="GET",path="/v1/models",status="200"} 7.0' in page
    assert "gateway_database_up 1.0" in page
    assert not list(tmp_path.glob(f"gauge_*_{dead}.db"))
