"""`python -m bench profile`: CPU time of a request by package and by function."""

from __future__ import annotations

import json
import os
import pstats
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvloop

from bench import compare, load, machine, targets
from bench.measure import Cell, Sample, sample
from bench.shapes import SHAPES
from bench.targets import Target

_TOP = 60
_ROOT = str(targets.ROOT)


@dataclass(frozen=True, slots=True)
class Request:
    """The options of a profile: `calls` uses cProfile instead of sampling; `keep` is the raw file."""

    shape: str
    seconds: float
    connections: int
    guarded: bool
    calls: bool
    keep: Path | None


def main(request: Request) -> int:
    """Run the gateway under load with a profiler and print the result; return 1 if an answer was wrong."""
    cores = machine.Cores.choose()
    os.sched_setaffinity(0, cores.helpers)
    with ExitStack() as stack:
        work = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="gateway-bench-")))
        output = work / "profile"
        upstream = targets.upstream(stack, cores, work)
        engines = compare.engines(stack, work / "engines")
        mode = "calls" if request.calls else "sample"
        launcher = [sys.executable, "-m", "bench.profiled", mode, str(output)]
        target = targets.gateway(stack, cores, work, upstream.port, engines, request.guarded, launcher)
        plain, failures, requests = uvloop.run(_load(request, upstream, target, cores))
        _wait_for(output)
        if request.keep is not None:
            shutil.copy(output, request.keep)
        print(
            f"{request.shape} ×{request.connections}: {plain.rate:.0f} requests/s, "
            f"{plain.cpu_per_request * 1000:.2f} ms of CPU time per request without the profiler\n"
        )
        if request.calls:
            _print_calls(output, requests)
        else:
            _print_samples(json.loads(output.read_text()), plain.cpu_per_request)
    if failures or plain.failures:
        print(f"{failures + plain.failures} answers were wrong: {plain.first_failure}")
    return 1 if failures or plain.failures else 0


async def _load(
    request: Request, upstream: Target, target: Target, cores: machine.Cores
) -> tuple[Sample, int, int]:
    """Warm up, measure without the profiler, then with it; return sample, failures and requests."""
    cell = Cell(target.name, request.shape, request.connections)
    await sample(target, upstream, cell, 2.0, cores)
    plain = await sample(target, upstream, cell, request.seconds, cores)
    os.kill(target.pid, signal.SIGUSR1)
    factory = SHAPES[request.shape]
    tally = await load.closed_loop(target.port, target.key, factory, request.connections, request.seconds)
    os.kill(target.pid, signal.SIGUSR2)
    return plain, tally.failures, len(tally.latencies)


def _wait_for(output: Path, seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not output.exists():
        if time.monotonic() > deadline:
            raise SystemExit("The profiler wrote no file. Check that `gateway serve` runs in one process.")
        time.sleep(0.05)


def _print_samples(found: dict[str, Any], cpu_per_request: float) -> None:
    scale = cpu_per_request * 1000 / max(found["samples"], 1)
    packages: Counter[str] = Counter()
    for name, count in found["own"].items():
        packages[_package(name)] += count
    for title, counts in (
        ("own time by package", packages),
        ("own time by function", Counter(found["own"])),
        ("cumulative time by function (in the same task)", Counter(found["under"])),
    ):
        print(f"{title}\n{'ms/request':>10}  {'share':>6}")
        for name, count in counts.most_common(_TOP):
            print(f"{count * scale:10.3f}  {count / max(found['samples'], 1):6.1%}  {_short_name(name)}")
        print()


def _print_calls(output: Path, requests: int) -> None:
    print(f"{requests} requests were profiled; divide the counts by this number.")
    stats = pstats.Stats(str(output))
    stats.sort_stats("tottime").print_stats(_TOP)
    stats.sort_stats("cumulative").print_stats(2 * _TOP)


def _package(name: str) -> str:
    """Return the package of a function: an installed one, a part of the gateway, or the standard library."""
    path = name.rpartition(":")[0]
    if "site-packages/" in path:
        return path.split("site-packages/", 1)[1].split("/")[0]
    if path.startswith(_ROOT):
        return ".".join(Path(path[len(_ROOT) :].lstrip("/")).with_suffix("").parts[:3])
    if path.startswith("<"):
        return path
    return "python: " + Path(path).stem


def _short_name(name: str) -> str:
    if "site-packages/" in name:
        return name.split("site-packages/", 1)[1]
    return name.removeprefix(_ROOT + "/")
