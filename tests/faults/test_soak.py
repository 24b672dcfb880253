"""Ten minutes (or `SOAK_SECONDS`) of mixed traffic leak no memory, descriptor or task."""

from __future__ import annotations

import asyncio
import os
import random
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.faults.summary import RecordFault
from tests.support.consistency import ClientResponse
from tests.support.two_worker_stage import (
    Caller,
    TwoWorkerStage,
    WorkerProcess,
    create_completion,
    openai_config,
    send_request,
    stream_turn,
    two_worker_stage,
    worker_processes,
)
from tests.support.upstreams.http_server import Refusal, Reply

SECONDS = float(os.environ.get("SOAK_SECONDS", "600"))
WARM = min(60.0, SECONDS / 4)  # what comes before is no steady state
SHARE = 0.6  # of what the workers can do
MEMORY_PERCENT = 5.0

pytestmark = [pytest.mark.slow, pytest.mark.timeout(SECONDS + 240)]

ROW = "a soak of 10 minutes at 60 % of capacity, mixed traffic"


def _config(**providers: str) -> dict[str, Any]:
    config = openai_config(**providers)
    return config | {"cache": {"exact": {"ttl_seconds": 30, "max_entries": 100}}}


def _mix(count: int) -> list[Any]:
    """What the upstream does, mostly good."""
    draw = random.Random(9)
    words = tuple(f"word{n} " for n in range(30))
    good = Reply(text=words, pause=0.002)
    bad = [Refusal(500), Reply(fault="cut"), Reply(fault="reset"), Refusal(429, headers={"retry-after": "1"})]
    return [good if draw.random() < 0.97 else draw.choice(bad) for _ in range(count)]


@dataclass(slots=True)
class Soak:
    one: TwoWorkerStage
    callers: list[Caller]
    draw: random.Random = field(default_factory=lambda: random.Random(10))
    ends: Counter[str] = field(default_factory=Counter)
    most_at_once: int = 0

    async def turn(self, number: int) -> None:
        """One of the things that callers do; in small shares they leave half-way, or read what there is."""
        door, caller = self.one.workers[number % 2], self.callers[number % len(self.callers)]
        kind = self.draw.random()
        if kind < 0.35:
            heard = await stream_turn(door, caller, f"Question {number}")
        elif kind < 0.55:
            heard = await create_completion(door, caller, f"Question {number}", stream=True)
        elif kind < 0.75:
            heard = await create_completion(door, caller, f"Question {number % 50}", temperature=0)
        elif kind < 0.85:
            heard = await send_request(door, caller.token_headers, {}, "/api/conversations/", "GET")
        elif kind < 0.93:
            heard = await send_request(door, caller.token_headers, {}, "/api/user/me/usage", "GET")
        else:
            heard = ClientResponse()
            leaving = asyncio.create_task(
                send_request(door, caller.token_headers, {"message": f"Question {number}"}, response=heard)
            )
            await asyncio.wait({leaving}, timeout=0.03)
            leaving.cancel()
            await asyncio.wait({leaving})
            self.ends["left"] += 1
            return
        self.ends[heard.assert_one_ending()] += 1

    async def at_full(self, seconds: float, callers: int = 16) -> float:
        """Turns a second with so many callers who ask without a pause: the capacity."""
        loop, done = asyncio.get_running_loop(), 0
        until = loop.time() + seconds

        async def one_caller(first: int) -> None:
            nonlocal done
            number = first
            while loop.time() < until:
                await self.turn(number)
                number += callers
                done += 1

        await asyncio.gather(*(one_caller(first) for first in range(callers)))
        return done / seconds

    async def at(self, rate: float, seconds: float, look: list[list[int]]) -> None:
        """So many turns a second for so long, with a look at the workers every second."""
        loop = asyncio.get_running_loop()
        began, number = loop.time(), 0
        tasks: set[asyncio.Task[None]] = set()
        failures: list[BaseException] = []

        def over(task: asyncio.Task[None]) -> None:
            tasks.discard(task)
            if not task.cancelled() and (error := task.exception()) is not None:
                failures.append(error)

        while (now := loop.time() - began) < seconds:
            task = asyncio.create_task(self.turn(number))
            tasks.add(task)
            task.add_done_callback(over)
            self.most_at_once = max(self.most_at_once, len(tasks))
            number += 1
            if len(look) < now:
                look.append([_resident(worker) for worker in worker_processes(self.one)])
            await asyncio.sleep(max(0.0, number / rate - (loop.time() - began)))
            if failures:
                raise failures[0]
        await asyncio.gather(*tasks)


def _resident(worker: WorkerProcess) -> int:
    """Bytes."""
    pages = int(Path(f"/proc/{worker.process.pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def _descriptors(one: TwoWorkerStage, worker: WorkerProcess) -> Counter[str]:
    """What the process has open, by what is at the other end or by its kind."""
    folder, own = Path(f"/proc/{worker.process.pid}"), _port(worker.url)
    names = {_port(one.valkey.url): "valkey", _port(one.database.url): "postgresql", own: "callers"}
    ends = dict[str, str]()
    for line in (folder / "net" / "tcp").read_text().splitlines()[1:]:
        fields = line.split()
        near, far = (int(end.rpartition(":")[2], 16) for end in fields[1:3])
        name = names.get(own if near == own else far, "upstream")
        ends[f"socket:[{fields[9]}]"] = name if far else "listener"
    return Counter(ends.get(each, each.partition(":")[0]) for each in _open(folder))


def _port(address: str) -> int:
    port = urlsplit(address).port
    assert port is not None, address
    return port


def _open(process: Path) -> list[str]:
    opened = list[str]()
    for one in (process / "fd").iterdir():
        with suppress(FileNotFoundError):  # closed since
            opened.append(os.readlink(one))
    return opened


def _drift(figures: list[int]) -> float:
    """By how much the last fifth of the figures is above the first."""
    fifth = max(1, len(figures) // 5)
    return median(figures[-fifth:]) - median(figures[:fifth])


async def _tasks_of(worker: WorkerProcess) -> float:
    """What the worker's own metrics say of requests under way."""
    text = (await worker.http.get("/metrics")).text
    (line,) = [line for line in text.splitlines() if line.startswith("gateway_in_flight_requests ")]
    return float(line.split()[1]) - 1  # this one


async def _left_open(one: TwoWorkerStage, before: list[Counter[str]]) -> list[Counter[str]]:
    """What each worker has open beyond `before`, once connections that nobody uses had time to be closed."""
    for _ in range(20):
        for worker in worker_processes(one):
            await worker.http.get("/health/live")  # a client lets go of what it does not use when it is used
        more = [
            _descriptors(one, worker) - start
            for worker, start in zip(worker_processes(one), before, strict=True)
        ]
        if all(kinds["callers"] <= 1 and not kinds["upstream"] for kinds in more):
            break
        await asyncio.sleep(1)
    return more


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs /proc")
async def test_mixed_traffic_leaks_no_memory_descriptors_or_tasks(
    database_url: str, redis_url: str, tmp_path: Path, seen: RecordFault
) -> None:
    async with two_worker_stage(database_url, redis_url, tmp_path, _config, processes=True) as one:
        one.upstream.script(*_mix(1_000_000))
        soak = Soak(one, [await one.add_caller() for _ in range(8)])
        await soak.at_full(2)
        capacity = await soak.at_full(4)
        before = [_descriptors(one, worker) for worker in worker_processes(one)]
        for kinds in before:
            del kinds["upstream"], kinds["callers"]  # in the end nobody calls, and nobody is called
        looks: list[list[int]] = []
        await soak.at(SHARE * capacity, SECONDS, looks)
        assert set(soak.ends) <= {"done", "200", "error", "502", "left"}, soak.ends
        assert soak.ends["error"] + soak.ends["502"] < 0.1 * soak.ends.total()

        steady = list(zip(*looks[int(WARM * len(looks) / SECONDS) :], strict=True))
        memory = [_drift(list(bytes_)) / bytes_[0] * 100 for bytes_ in steady]
        await one.checker.assert_consistent(calls=False, seconds=60)
        async with asyncio.timeout(20):
            while any([await _tasks_of(worker) for worker in worker_processes(one)]):  # noqa: ASYNC110
                await asyncio.sleep(0.2)
        more = await _left_open(one, before)
        print(
            f"{capacity:.0f}/s, memory {memory} %, more open {more}, at most {soak.most_at_once}, {soak.ends}"
        )
        assert max(map(abs, memory)) < MEMORY_PERCENT
        # The engines' pools keep as many connections as the busiest moment took.
        assert max(kinds.pop("valkey", 0) for kinds in more) <= soak.most_at_once
        assert max(kinds.pop("postgresql", 0) for kinds in more) <= 10
        assert max(kinds.pop("callers", 0) for kinds in more) <= 1  # the inspecting request itself
        assert not any(kinds.total() for kinds in more), more
    seen(
        f"a soak of {SECONDS:.0f} s at {SHARE:.0%} of capacity, mixed traffic",
        times=soak.ends.total(),
        what=f"memory constant after the first {WARM:.0f} s, no resource leaked",
        memory_percent=max(map(abs, memory)),
        descriptors=0,
        tasks=0,
        turns_a_second=SHARE * capacity,
    )
