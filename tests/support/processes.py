"""Find the descendants of a process and wait until they have ended."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path


def descendants(pid: int) -> set[tuple[int, str]]:
    """Descendants of `pid` as (pid, start time): the system reuses process ids."""
    children: dict[int, list[tuple[int, str]]] = {}
    for child, parent, started in _processes():
        children.setdefault(parent, []).append((child, started))
    found: set[tuple[int, str]] = set()
    waiting = [pid]
    while waiting:
        for child in children.get(waiting.pop(), []):
            found.add(child)
            waiting.append(child[0])
    return found


def wait_ended(known: set[tuple[int, str]], seconds: float = 30) -> set[tuple[int, str]]:
    """Wait until all of `known` have ended; return those still alive after `seconds`."""
    deadline = time.monotonic() + seconds
    while True:
        left = known & {(pid, started) for pid, _, started in _processes()}
        if not left or time.monotonic() > deadline:
            return left
        time.sleep(0.02)


def _processes() -> Iterator[tuple[int, int, str]]:
    """(pid, parent, when it started) of every process that is not a zombie."""
    if not Path("/proc/self/stat").exists():
        listing = subprocess.run(
            ["ps", "-axo", "pid=,ppid=,stat=,lstart="], capture_output=True, text=True, check=True
        )
        for line in listing.stdout.splitlines():
            pid, parent, state, started = line.split(None, 3)
            if not state.startswith("Z"):
                yield int(pid), int(parent), started
        return
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if fields[0] not in "ZX":
            yield int(stat.parent.name), int(fields[1]), fields[19]
