"""Read CPU time, memory and a description of the machine from Linux's /proc."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")
_PROC = Path("/proc")
_PACKAGES = (
    "fastapi",
    "uvicorn",
    "uvloop",
    "httptools",
    "langgraph",
    "langchain-openai",
    "openai",
    "httpx",
    "sqlalchemy",
    "asyncpg",
    "redis",
    "pydantic",
    "orjson",
)


@dataclass(frozen=True, slots=True)
class Cores:
    """The cores of the measured server, and those of everything else."""

    server: frozenset[int]
    helpers: frozenset[int]

    @classmethod
    def choose(cls) -> Cores:
        cores = sorted(os.sched_getaffinity(0))
        if len(cores) == 1:
            return cls(frozenset(cores), frozenset(cores))
        return cls(frozenset(cores[-1:]), frozenset(cores[:-1]))

    @property
    def shared(self) -> bool:
        return bool(self.server & self.helpers)


def process_tree(pid: int) -> list[int]:
    """Return the process and all its running descendants."""
    children: dict[int, list[int]] = {}
    for entry in _PROC.iterdir():
        if entry.name.isdigit() and (stat := _stat(int(entry.name))):
            children.setdefault(int(stat[1]), []).append(int(entry.name))
    found, queue = [], [pid]
    while queue:
        current = queue.pop()
        found.append(current)
        queue.extend(children.get(current, []))
    return found


def cpu_seconds(pids: Iterable[int]) -> float:
    """Return the user and system time of these processes, including all threads."""
    return sum(int(stat[11]) + int(stat[12]) for pid in pids if (stat := _stat(pid))) / _TICKS


def start_time(pid: int) -> str:
    """Return the start time of the process in ticks since boot, "" if it has ended."""
    stat = _stat(pid)
    return stat[19] if stat else ""


def resident_bytes(pids: Iterable[int]) -> int:
    """Return the total resident memory of these processes."""
    return sum(int(stat[21]) for pid in pids if (stat := _stat(pid))) * _PAGE


def _stat(pid: int) -> list[str]:
    """Return the fields of /proc/PID/stat after the name ([0] state, [1] parent), [] if it has ended."""
    try:
        text = (_PROC / str(pid) / "stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return []
    return text.rpartition(")")[2].split()


def busy_and_total(cores: Iterable[int]) -> tuple[int, int]:
    """Return the busy ticks and all ticks of these cores since the machine started."""
    wanted = {f"cpu{core}" for core in cores}
    busy = total = 0
    for line in (_PROC / "stat").read_text().splitlines():
        name, *fields = line.split()
        if name in wanted:
            ticks = [int(field) for field in fields[:8]]
            total += sum(ticks)
            busy += sum(ticks) - ticks[3] - ticks[4]
    return busy, total


def describe() -> dict[str, str]:
    """Describe the machine and the versions."""
    cpu = next(
        (
            line.split(":", 1)[1].strip()
            for line in (_PROC / "cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.machine(),
    )
    memory = os.sysconf("SC_PHYS_PAGES") * _PAGE / 2**30
    return {
        "Processor": f"{cpu}, {os.cpu_count()} cores visible",
        "Memory": f"{memory:.0f} GiB",
        "System": f"{platform.system()} {platform.release()} ({platform.machine()})",
        "Python": platform.python_version(),
        "Gateway": f"commit {_commit()}; " + ", ".join(f"{name} {version(name)}" for name in _PACKAGES),
    }


def _commit() -> str:
    root = Path(__file__).parent.parent
    try:
        done = subprocess.run(
            ["git", "describe", "--always", "--dirty"],
            cwd=root,
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return done.stdout.strip()
