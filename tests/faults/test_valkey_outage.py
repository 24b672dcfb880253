"""Valkey killed, hung and restored: turns go on within their limits."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path
from statistics import median

import pytest

from gateway.embedded.valkey import ValkeyServer
from tests.faults.summary import RecordFault
from tests.support.consistency import ClientResponse
from tests.support.private_engines import engine_process, kill_engine, private_valkey
from tests.support.two_worker_stage import (
    Caller,
    TwoWorkerStage,
    create_completion,
    local_workers,
    openai_config,
    send_request,
    stream_turn,
    two_worker_stage,
    wait_until,
)
from tests.support.upstreams.http_server import Reply

ROW = "Valkey killed, hung (SIGSTOP), restored"
ADDED = 0.3  # what an outage may cost a turn, in seconds
MARGIN = 1.0  # what a busy machine may add
PER_MINUTE = 20


def _limited(**providers: str) -> dict[str, object]:
    config = openai_config(**providers)
    config["tiers"] = {"free": {"usd_per_month": 1000}, "tight": {"requests_per_minute": PER_MINUTE}}
    return config


async def _turns(one: TwoWorkerStage, caller: Caller, count: int = 6) -> list[ClientResponse]:
    """Turns of both kinds by both workers, one after the other, each good."""
    heard = []
    for number in range(count):
        door = one.workers[number % 2]
        heard.append(await (stream_turn(door, caller) if number % 3 else create_completion(door, caller)))
        assert heard[-1].assert_one_ending() in ("done", "200"), heard[-1].body
    return heard


async def _break(how: str, valkey: ValkeyServer) -> None:
    if how == "hung":
        os.kill(engine_process(valkey), signal.SIGSTOP)
    else:
        await kill_engine(valkey)


async def _mend(how: str, valkey: ValkeyServer) -> None:
    if how == "hung":
        os.kill(engine_process(valkey), signal.SIGCONT)
    else:
        await asyncio.to_thread(valkey.start)


@pytest.mark.parametrize("how", ["hung", "killed"])
async def test_turns_go_on_without_valkey_and_it_reconnects(
    database_url: str, tmp_path: Path, how: str, seen: RecordFault
) -> None:
    async with (
        private_valkey(tmp_path) as valkey,
        two_worker_stage(database_url, valkey.url(), tmp_path, _limited) as one,
    ):
        caller = await one.add_caller()
        before = await _turns(one, caller)
        gate = asyncio.Event()
        one.upstream.script(Reply(gate=gate, gate_at=2), Reply())
        halfway = ClientResponse()
        running = asyncio.create_task(
            send_request(one.first, caller.token_headers, {"message": "Hello?"}, response=halfway)
        )
        await wait_until(lambda: halfway.text == "Hello, ")

        await _break(how, valkey)
        during = await _turns(one, caller, 12)
        gate.set()
        assert (await running).assert_one_ending() == "done"
        assert halfway.text == "Hello, world!"
        ready = await one.first.http.get("/health/ready")
        assert (ready.status_code, ready.json()["status"]) == (200, "degraded")

        await _mend(how, valkey)
        async with asyncio.timeout(30):
            while any(not worker.container.valkey.available for worker in local_workers(one)):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        after = await _turns(one, caller)
        assert (await one.first.http.get("/health/ready")).json()["status"] == "ok"
        await one.checker.assert_consistent()
    usual = median(heard.seconds for heard in before + after)
    added = max(heard.seconds for heard in during) - usual
    assert added < ADDED + MARGIN
    assert median(heard.seconds for heard in during) - usual < ADDED  # the breaker spares all but the first
    seen(ROW, times=len(during) + 1, what="every turn was answered completely", added=added)


async def test_limits_hold_without_valkey(database_url: str, tmp_path: Path, seen: RecordFault) -> None:
    async with (
        private_valkey(tmp_path) as valkey,
        two_worker_stage(database_url, valkey.url(), tmp_path, _limited) as one,
    ):
        caller = await one.add_caller()
        async with one.checker.engine.begin() as connection:
            await connection.exec_driver_sql(
                f"UPDATE users SET tier = 'tight' WHERE id = '{caller.account.id}'"
            )
        await _break("hung", valkey)
        heard = await asyncio.gather(
            *(create_completion(one.workers[n % 2], caller) for n in range(3 * PER_MINUTE))
        )
        admitted = sum(one.status == 200 for one in heard)
        assert 0 < admitted <= PER_MINUTE  # each worker half of it
        assert {one.assert_one_ending() for one in heard} == {"200", "429"}
        await _mend("hung", valkey)
        await one.checker.assert_consistent()
    seen(ROW, times=len(heard), what=f"limits held: at most {PER_MINUTE} of {len(heard)} were admitted")
