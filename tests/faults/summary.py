"""Collect what the fault tests observed into one JSON file.

`-p tests.faults.summary --faults-summary FILE`; `tests.faults.report` makes the table of
docs/RELIABILITY.md of it.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import pytest

PROPERTY = "fault"


class RecordFault(Protocol):
    def __call__(self, fault: str, *, times: int, what: str, **figures: float) -> None:
        """Note for the table: the matrix's row, how often it was tried here, what came of it.

        Of figures of the same name the worst, which is the largest, is kept.
        """


@pytest.fixture
def seen(record_property: Callable[[str, object], None]) -> RecordFault:
    def note(fault: str, *, times: int, what: str, **figures: float) -> None:
        record_property(PROPERTY, {"fault": fault, "times": times, "what": what, "figures": figures})

    return note


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--faults-summary", type=Path, default=None, help="write what the faults did here")


def pytest_configure(config: pytest.Config) -> None:
    path = config.getoption("--faults-summary")
    if path is not None and not hasattr(config, "workerinput"):
        config.pluginmanager.register(Collector(path))


class Collector:
    """Sums up the reports that reach the process that controls the run."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._began = time.time()
        self._faults: dict[str, dict[str, Any]] = {}
        self._failed: list[str] = []
        self._skipped: list[str] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self._failed.append(report.nodeid)
        elif report.skipped:
            self._skipped.append(report.nodeid)
        if report.when != "call" or not report.passed:
            return
        for name, noted in report.user_properties:
            if name == PROPERTY:
                self._add(noted)  # type: ignore[arg-type]

    def pytest_sessionfinish(self) -> None:
        summary = {
            "faults": self._faults,
            "failed": self._failed,
            "skipped": self._skipped,
            "seconds": round(time.time() - self._began),
        }
        self._path.write_text(json.dumps(summary, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")

    def _add(self, noted: dict[str, Any]) -> None:
        row = self._faults.setdefault(noted["fault"], {"times": 0, "what": {}, "figures": {}})
        row["times"] += noted["times"]
        row["what"][noted["what"]] = row["what"].get(noted["what"], 0) + noted["times"]
        for name, value in noted["figures"].items():
            row["figures"][name] = round(max(value, row["figures"].get(name, value)), 3)
