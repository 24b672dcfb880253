"""Two replicas behind nginx are restarted in turn without a failed request."""

from __future__ import annotations

import asyncio
import signal
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import httpx
import pytest
import yaml

from tests.integration.test_nginx import NGINX, free_port, in_front_of
from tests.support.gateway import GatewayClient
from tests.support.gateway_process import GatewayProcess
from tests.support.two_worker_stage import JWT_SECRET

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(400),
    pytest.mark.skipif(NGINX is None, reason="nginx is not installed (Debian: apt-get install nginx)"),
]

CONFIG = {
    "providers": {"mock": {"type": "mock"}},
    "models": {"mock": {"provider": "mock", "model": "mock"}},
    "titles": {"enabled": False},
    "tiers": {"free": {"requests_per_minute": 100_000, "concurrent_turns": 100}},
}
A_SECOND = 5


@asynccontextmanager
async def replica(directory: Path, port: int, environment: dict[str, str]) -> AsyncIterator[GatewayProcess]:
    with GatewayProcess(
        "--port", str(port), "--data-dir", str(directory), cwd=directory, **environment
    ) as served:
        await asyncio.to_thread(served.wait_for_banner)
        yield served


async def _one(door: GatewayClient, headers: dict[str, str], number: int, ends: Counter[str]) -> None:
    try:
        if number % 3 == 0:
            answer = await door.http.get("/api/conversations", headers=headers)
        else:
            path = "/api/chat/stream" if number % 3 == 1 else "/api/chat"
            answer = await door.http.post(path, json={"message": f"Hello {number}"}, headers=headers)
        whole = number % 3 != 1 or "event: done" in answer.text
        ends[
            "good" if answer.status_code == 200 and whole else f"{answer.status_code} {answer.text[-200:]}"
        ] += 1
    except httpx.HTTPError as error:
        ends[repr(error)] += 1


async def test_a_rolling_restart_behind_nginx_loses_nothing(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    (tmp_path / "provider_config.yaml").write_text(yaml.safe_dump(CONFIG))
    ports = [free_port(), free_port()]
    environment = {
        "DATABASE_URL": database_url,
        "REDIS_URL": redis_url,
        "JWT_SECRET": JWT_SECRET,
        "PROVIDER_CONFIG": str(tmp_path / "provider_config.yaml"),
        "LOG_LEVEL": "WARNING",
        "SHUTDOWN_LISTENING": "false",
        "TRUSTED_PROXIES": "127.0.0.1",
    }
    ends: Counter[str] = Counter()
    front = tmp_path / "front"
    front.mkdir()
    wide = ("burst=200", "burst=20000")
    async with (
        AsyncExitStack() as stack,
        replica(tmp_path, ports[0], environment) as first,
        replica(tmp_path, ports[1], environment) as second,
        in_front_of(front, ports[0], second=ports[1], change=wide) as http,
    ):
        http.timeout = httpx.Timeout(60)
        door = GatewayClient(str(http.base_url), http)
        person = await door.sign_up()
        stop = asyncio.Event()

        async def load() -> None:
            tasks = []
            while not stop.is_set():
                tasks.append(asyncio.create_task(_one(door, person.headers, len(tasks), ends)))
                await asyncio.sleep(1 / A_SECOND)
            await asyncio.gather(*tasks)

        running = asyncio.create_task(load())
        again: list[GatewayProcess] = []
        for port, served in zip(ports, (first, second), strict=True):
            await asyncio.sleep(1)
            assert await asyncio.to_thread(served.stop, signal.SIGTERM) == 0
            started = replica(tmp_path, port, environment)
            again.append(await stack.enter_async_context(started))
        await asyncio.sleep(1)
        stop.set()
        await running
        for served in again:
            assert await asyncio.to_thread(served.stop, signal.SIGTERM) == 0
    assert set(ends) <= {"good", "busy"}, ends
    assert ends["good"] > max(3 * A_SECOND, 20 * ends["busy"]), ends
