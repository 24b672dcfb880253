"""Clients that disconnect, race or repeat: each turn runs once and is stored whole."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from tests.faults.summary import RecordFault
from tests.support.consistency import ClientResponse
from tests.support.gateway import Gateway
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

GONE = "client gone after 5 events"
AT_ONCE = "8 posts at once into one conversation"
KEYED = "50 requests with one `Idempotency-Key`"
COLD = "100 callers on a cold cache key, the first client disconnects"
WORDS = tuple(f"word{n} " for n in range(20))
POOL = 30  # connections a worker: what is looked at is not how many wait for one
CLOSED = 2.0  # within which an upstream has to be let go of


async def _leave_after(heard: ClientResponse, task: asyncio.Task[ClientResponse], events: int) -> None:
    await wait_until(lambda: len(heard.events) >= events or task.done())
    task.cancel()
    await asyncio.wait({task})


async def test_a_disconnected_users_answer_is_stored_whole_and_charged_once(
    database_url: str, redis_url: str, tmp_path: Path, seen: RecordFault
) -> None:
    async with two_worker_stage(database_url, redis_url, tmp_path) as one:
        caller = await one.add_caller()
        one.upstream.script(Reply(text=WORDS, pause=0.01))
        streams = [ClientResponse() for _ in range(10)]
        tasks = [
            asyncio.create_task(
                send_request(
                    one.workers[n % 2], caller.token_headers, {"message": f"Number {n}"}, response=heard
                )
            )
            for n, heard in enumerate(streams)
        ]
        await asyncio.gather(*(_leave_after(h, t, 5) for h, t in zip(streams, tasks, strict=True)))
        entries = await one.checker.assert_consistent()
        assert {row["content"] for row in entries.answer_rows(status="complete")} == {"".join(WORDS)}
        assert len(entries.successful_usage()) == len(one.upstream.calls) == len(streams)
    seen(GONE, times=len(streams), what="user: the complete answer was stored and charged once")


async def test_a_disconnected_api_key_cancels_its_upstream_and_is_charged_for_the_partial_answer(
    database_url: str, redis_url: str, tmp_path: Path, seen: RecordFault
) -> None:
    async with two_worker_stage(database_url, redis_url, tmp_path) as one:
        caller = await one.add_caller()
        one.upstream.script(Reply(text=WORDS, gate=asyncio.Event(), gate_at=10))
        streams = [ClientResponse() for _ in range(10)]
        body = {"model": "main", "stream": True, "messages": [{"role": "user", "content": "Hello?"}]}
        tasks = [
            asyncio.create_task(
                send_request(
                    one.workers[n % 2], caller.key_headers, body, "/v1/chat/completions", response=heard
                )
            )
            for n, heard in enumerate(streams)
        ]
        await wait_until(lambda: all(heard.text == "".join(WORDS[:10]) for heard in streams))
        left = time.monotonic()
        for task in tasks:
            task.cancel()
        async with asyncio.timeout(CLOSED + 3):
            for call in one.upstream.calls:
                await call.disconnected.wait()
        closed = time.monotonic() - left
        entries = await one.checker.wait_settled()
        assert [row["outcome"] for row in entries.usage] == ["cancelled"] * len(streams)
        assert all(row["completion_tokens"] > 0 for row in entries.usage)
        await one.checker.assert_consistent()
    seen(
        GONE,
        times=len(streams),
        what="key: the upstream call was cancelled and its output charged once",
        closed=closed,
    )


async def test_concurrent_posts_into_one_conversation_are_answered_or_rejected(
    database_url: str, redis_url: str, tmp_path: Path, seen: RecordFault
) -> None:
    async with two_worker_stage(database_url, redis_url, tmp_path, database_pool_size=POOL) as one:
        caller = await one.add_caller()
        rounds, refused = 2, 0
        for _ in range(rounds):
            await one.checker.start_recording()
            conversation = (await stream_turn(one.first, caller, "First")).turn_ids["conversation_id"]
            one.upstream.script(Reply(pause=0.05))
            at = {"conversation_id": conversation}
            posts = [stream_turn(one.workers[n % 2], caller, f"Post {n}", **at) for n in range(8)]
            heard = await asyncio.gather(*posts)
            ends = Counter(each.assert_one_ending() for each in heard)
            assert set(ends) <= {"done", "409"}
            assert ends["done"] >= 1
            refused += ends["409"]
            for each in heard:
                if each.status == 409:
                    assert each.error_code == "turn_in_progress"
            queued = [
                stream_turn(one.workers[n % 2], caller, f"Queued {n}", on_busy="queue", **at)
                for n in range(8)
            ]
            assert {each.assert_one_ending() for each in await asyncio.gather(*queued)} == {"done"}
            entries = await one.checker.assert_consistent()
            read = await one.first.http.get(
                f"/api/conversations/{conversation}", headers=caller.token_headers
            )
            branch = [message["role"] for message in read.json()["messages"]]
            assert branch == ["user", "assistant"] * (len(branch) // 2)
            assert len(branch) == 2 * (1 + ends["done"] + 8) == len(entries.messages)
            assert {row["content"] for row in entries.answer_rows(status="complete")} == {"Hello, world!"}
    seen(
        AT_ONCE,
        times=16 * rounds,
        what="accepted turns complete, the others 409 (or queued and complete); roles alternate",
        refused=refused,
    )


async def test_concurrent_requests_with_one_idempotency_key_run_once(
    database_url: str, redis_url: str, tmp_path: Path, seen: RecordFault
) -> None:
    async with two_worker_stage(database_url, redis_url, tmp_path, database_pool_size=POOL) as one:
        caller = await one.add_caller()
        one.upstream.script(Reply(pause=0.05))
        kinds: list[tuple[str, dict[str, str], dict[str, Any]]] = [
            ("/api/chat/", caller.token_headers, {"message": "Hello?"}),
            (
                "/v1/chat/completions",
                caller.key_headers,
                {"model": "main", "messages": [{"role": "user", "content": "Hello?"}]},
            ),
        ]
        for path, who, body in kinds:
            await one.checker.start_recording()
            headers = who | {"idempotency-key": uuid4().hex}
            heard = await asyncio.gather(
                *(send_request(one.workers[n % 2], headers, body, path) for n in range(50))
            )
            assert {each.assert_one_ending() for each in heard} == {"200"}, Counter(
                each.body for each in heard
            )
            assert len({each.body for each in heard}) == 1
            later = await send_request(one.second, headers, body, path)
            assert later.body == heard[0].body
            entries = await one.checker.assert_consistent()
            assert len(one.upstream.calls) == len(entries.usage) == 1
    seen(KEYED, times=50 * len(kinds), what="one upstream call, one charge, fifty identical answers")


def _cached(**providers: str) -> dict[str, Any]:
    return openai_config(**providers) | {"cache": {"exact": {"ttl_seconds": 60}}}


async def test_a_cold_cache_key_makes_one_call_though_its_leader_disconnects(
    database_url: str, redis_url: str, tmp_path: Path, seen: RecordFault
) -> None:
    async with two_worker_stage(database_url, redis_url, tmp_path, _cached, database_pool_size=POOL) as one:
        caller = await one.add_caller()
        question = f"What is {uuid4().hex}?"
        goes_on = asyncio.Event()
        leader, task = await _leading(one, caller, question, goes_on)
        others = [
            asyncio.create_task(create_completion(one.workers[n % 2], caller, question, temperature=0))
            for n in range(99)
        ]
        await wait_until(lambda: _turns(one) == 1 + len(others) and _is_awaited(one.first))
        task.cancel()
        await asyncio.wait({task})
        goes_on.set()
        heard = await asyncio.gather(*others)
        assert not leader.completed
        assert {each.assert_one_ending() for each in heard} == {"200"}, Counter(each.body for each in heard)
        assert {each.json["choices"][0]["message"]["content"] for each in heard} == {"Hello, world!"}
        entries = await one.checker.assert_consistent()
        # The leader's own call, which went on for those who waited for it.
        outcomes = Counter(row["outcome"] for row in entries.usage)
        assert outcomes == {"ok": 1, "cached": 99}
        assert len(one.upstream.calls) == 1
    seen(COLD, times=100, what="one call, which continued after its client disconnected, and 99 answers")


def _turns(one: TwoWorkerStage) -> int:
    return sum(len(worker.container.tasks) for worker in local_workers(one))


def _is_awaited(worker: Gateway) -> bool:
    """Whether a turn of this worker makes a call that others wait for."""
    return worker.container.chat.service.runner.single_flight.waiting > 0


async def _leading(
    one: TwoWorkerStage, caller: Caller, question: str, goes_on: asyncio.Event
) -> tuple[ClientResponse, asyncio.Task[ClientResponse]]:
    """Somebody who asked first, and whose answer stops after its first word until it `goes_on`."""
    one.upstream.script(Reply(gate=goes_on, gate_at=1))
    heard = ClientResponse()
    body = {"model": "main", "stream": True, "temperature": 0}
    body["messages"] = [{"role": "user", "content": question}]
    task = asyncio.create_task(
        send_request(one.first, caller.key_headers, body, "/v1/chat/completions", response=heard)
    )
    await wait_until(lambda: heard.text == "Hello")
    return heard, task


def _bounded(**providers: str) -> dict[str, Any]:
    return openai_config(**providers) | {"concurrency": {"per_account": 10, "queue": 500}}


@pytest.mark.slow
async def test_a_flooding_account_does_not_delay_others(
    database_url: str, redis_url: str, tmp_path: Path, seen: RecordFault
) -> None:
    async with two_worker_stage(database_url, redis_url, tmp_path, _bounded) as one:
        flooding, quiet = await one.add_caller(), await one.add_caller()
        one.upstream.script(Reply(pause=0.02))
        usual = [await create_completion(one.workers[n % 2], quiet) for n in range(10)]
        flood = [asyncio.create_task(stream_turn(one.workers[n % 2], flooding)) for n in range(200)]
        heard = [await create_completion(one.workers[n % 2], quiet) for n in range(20)]
        assert {each.assert_one_ending() for each in usual + heard} == {"200"}
        received = await asyncio.gather(*flood)
        assert {each.assert_one_ending() for each in received} <= {"done", "429", "503"}
        await one.checker.assert_consistent(seconds=60)
    slowest = max(each.seconds for each in heard)
    seen("one account floods", times=200, what="other accounts were served", slowest_other=slowest)
