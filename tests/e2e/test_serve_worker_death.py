"""A worker process that is killed or stopped in the middle of a turn."""

from __future__ import annotations

import asyncio
import re
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

import httpx
import pytest
import yaml

from gateway.core.database import create_engine
from tests.support.database import fetch_rows
from tests.support.gateway_process import GatewayProcess
from tests.support.ledger_audit import wait_settled
from tests.support.two_workers import StreamEvent, displayed_text, read_stream
from tests.support.upstreams.openai_server import OpenAIUpstream, Reply

pytestmark = pytest.mark.timeout(180)
WORDS = tuple(f"word{n} " for n in range(40))
HALF = "".join(WORDS[:20])
ASK = {"message": "Hello", "model": "m"}


@dataclass
class Worker:
    served: GatewayProcess
    http: httpx.AsyncClient


@dataclass
class Stage:
    workers: list[Worker]
    headers: dict[str, str]
    upstream: OpenAIUpstream
    database_url: str


@asynccontextmanager
async def stage(
    count: int, database_url: str, redis_url: str, directory: Path, **given: str
) -> AsyncIterator[Stage]:
    """So many `gateway serve` over one database and one Valkey, with one upstream."""
    async with AsyncExitStack() as stack:
        upstream = await stack.enter_async_context(OpenAIUpstream())
        path = directory / "providers.yaml"
        config = {
            "providers": {"up": {"type": "openai", "base_url": upstream.url}},
            "models": {"m": {"provider": "up", "model": "v"}},
            "retry": {"attempts": 1},
            "titles": {"enabled": False},
            "on_disconnect": {"api_keys": "continue"},
        }
        path.write_text(yaml.safe_dump(config))
        given |= {"DATABASE_URL": database_url, "REDIS_URL": redis_url, "PROVIDER_CONFIG": str(path)}
        given |= {"JWT_SECRET": "end-to-end-secret-" + "0" * 32}
        workers, key = [], ""
        for number in range(count):
            data = directory / str(number)
            served = stack.enter_context(GatewayProcess("--data-dir", str(data), cwd=directory, **given))
            found = re.search(
                r"^API key: (\S+)$", await asyncio.to_thread(served.wait_for_banner), re.MULTILINE
            )
            key = found[1] if found else key
            http = httpx.AsyncClient(base_url=served.address, timeout=60)
            workers.append(Worker(served, await stack.enter_async_context(http)))
        yield Stage(workers, {"authorization": f"Bearer {key}"}, upstream, database_url)


async def until_half(received: list[StreamEvent], turn: asyncio.Task[list[StreamEvent]]) -> None:
    while displayed_text(received) != HALF:
        assert not turn.done(), turn.result()
        await asyncio.sleep(0.01)


async def test_a_stream_of_a_killed_worker_is_resumed_to_its_end_on_another(
    clean_database: str, redis_url: str, tmp_path: Path
) -> None:
    async with stage(2, clean_database, redis_url, tmp_path, TURN_LEASE_SECONDS="2") as all_of_it:
        first, second = all_of_it.workers
        all_of_it.upstream.script(Reply(text=WORDS, gate=asyncio.Event(), gate_at=20), Reply())
        lost: list[StreamEvent] = []

        async def ask() -> list[StreamEvent]:
            return await read_stream(
                first.http,
                all_of_it.headers,
                "/api/chat/stream",
                body=ASK,
                until=lambda received: lost.extend(received[len(lost) :]) or False,
            )

        asking = asyncio.create_task(ask())
        await until_half(lost, asking)
        await asyncio.sleep(0.3)  # four ticks of the recorder
        await asyncio.to_thread(first.served.stop, signal.SIGKILL)
        killed = monotonic()
        with pytest.raises(httpx.TransportError):
            await asking
        turn = lost[0].data
        path = f"/api/chat/stream/{turn['message_id']}"

        seen = lost[: len(lost) // 2]
        rest = await read_stream(second.http, all_of_it.headers, path, after=seen[-1].id)

        assert monotonic() - killed < 10
        assert [event.id for event in [*seen, *rest]] == list(range(1, len(seen) + len(rest) + 1))
        assert displayed_text([*seen, *rest]) == HALF
        assert rest[-1].name == "error"
        assert rest[-1].data["error"]["code"] == "overloaded"
        assert rest[-1].data["error"]["retry_after"] > 0

        body = ASK | {"conversation_id": turn["conversation_id"]}
        after = await second.http.post("/api/chat", json=body, headers=all_of_it.headers)
        assert after.status_code == 200, after.text
        engine = create_engine(all_of_it.database_url, 2)
        found = await fetch_rows(engine, "SELECT status, content FROM messages ORDER BY created_at, id")
        assert [(row["status"], row["content"]) for row in found][1] == ("interrupted", HALF)
        (account,) = await fetch_rows(engine, "SELECT id FROM users")
        assert (await wait_settled(engine, account["id"])).assert_consistent().tokens_reserved == 0
        await engine.dispose()


async def test_a_stopping_worker_drains_and_ends_each_turn_with_one_event(
    clean_database: str, redis_url: str, tmp_path: Path
) -> None:
    async with stage(1, clean_database, redis_url, tmp_path, SHUTDOWN_GRACE_SECONDS="1.5") as all_of_it:
        (worker,) = all_of_it.workers
        gate = asyncio.Event()
        all_of_it.upstream.script(
            Reply(text=WORDS, gate=gate, gate_at=20), Reply(text=WORDS, gate=asyncio.Event(), gate_at=20)
        )
        received: list[list[StreamEvent]] = [[], []]

        async def ask(number: int) -> list[StreamEvent]:
            mine = received[number]
            return await read_stream(
                worker.http,
                all_of_it.headers,
                "/api/chat/stream",
                body=ASK,
                until=lambda so_far: mine.extend(so_far[len(mine) :]) or False,
            )

        asking = []
        for number in range(2):
            asking.append(asyncio.create_task(ask(number)))
            await until_half(received[number], asking[number])
        stopping = asyncio.create_task(asyncio.to_thread(worker.served.stop, signal.SIGTERM))
        async with asyncio.timeout(1):
            while (ready := await worker.http.get("/health/ready")).status_code != 503:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        assert ready.json()["status"] == "draining"
        refused = await worker.http.post("/api/chat", json=ASK, headers=all_of_it.headers)
        assert (refused.status_code, refused.json()["error"]["code"]) == (503, "overloaded")
        assert refused.headers["retry-after"]
        gate.set()

        finished, broken = await asyncio.gather(*asking)

        assert await stopping == 0
        assert (finished[-1].name, displayed_text(finished)) == ("done", "".join(WORDS))
        assert (broken[-1].name, broken[-1].data["error"]["code"]) == ("error", "overloaded")
        assert broken[-1].data["error"]["retry_after"] > 0
        engine = create_engine(all_of_it.database_url, 2)
        found = await fetch_rows(
            engine, "SELECT status, content FROM messages WHERE role = 'assistant' ORDER BY created_at"
        )
        assert [(row["status"], row["content"]) for row in found] == [
            ("complete", "".join(WORDS)),
            ("interrupted", HALF),
        ]
        await engine.dispose()
