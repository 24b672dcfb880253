"""Two workers behind proxies, their upstreams, and clients that record responses."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import yaml

from gateway.core.database import create_engine
from gateway.core.logging.setup import configure_logging
from gateway.core.settings import Settings
from tests.support.consistency import ClientResponse, ConsistencyChecker, WorkerLog
from tests.support.gateway import PASSWORD, UNLIMITED, Account, Gateway, GatewayClient, running_gateway
from tests.support.gateway_process import GatewayProcess
from tests.support.tcp_proxy import TcpProxy, tcp_proxy
from tests.support.upstreams.http_server import UpstreamServer
from tests.support.upstreams.openai_server import OpenAIUpstream

UPSTREAM_KEY = "upstream-credential-4711"
JWT_SECRET = "test-secret-" + "0" * 32


@dataclass(slots=True)
class Caller:
    """An account with an access token and an API key."""

    account: Account
    key: str

    @property
    def token_headers(self) -> dict[str, str]:
        return self.account.headers

    @property
    def key_headers(self) -> dict[str, str]:
        return {"authorization": f"Bearer {self.key}"}


@dataclass(slots=True)
class TwoWorkerStage:
    """Two workers; `database` and `valkey` are the proxies between them and the engines."""

    workers: list[GatewayClient]
    database: TcpProxy
    valkey: TcpProxy
    upstreams: dict[str, UpstreamServer]
    checker: ConsistencyChecker

    @property
    def first(self) -> GatewayClient:
        return self.workers[0]

    @property
    def second(self) -> GatewayClient:
        return self.workers[1]

    @property
    def upstream(self) -> UpstreamServer:
        return next(iter(self.upstreams.values()))

    async def add_caller(self) -> Caller:
        """Create an account whose rows and secrets the checker includes."""
        person = await self.first.sign_up()
        key = await self.first.create_api_key(person)
        self.checker.users.append(UUID(person.id))
        self.checker.secrets += [key, person.access_token, person.refresh_token]
        return Caller(person, key)


def openai_config(**providers: str) -> dict[str, Any]:
    """One model per name, answered by `v-<name>` at the given address, without limits."""
    return {
        "providers": {
            name: {"type": "openai", "base_url": url, "api_key": UPSTREAM_KEY}
            for name, url in providers.items()
        },
        "models": {
            name: {
                "provider": name,
                "model": f"v-{name}",
                "context_window": 1_000_000,
                "price": {"input": 1, "output": 2},
            }
            for name in providers
        },
        "routing": {"light": next(iter(providers)), "heavy": next(iter(providers))},
        "retry": {"attempts": 1},
        "guardrails": {"people": {"injection": "off", "unsafe": "off"}},
        "circuit_breaker": {"failures": 100_000},
        "tiers": {"free": {"tokens_per_day": 1_000_000_000, "usd_per_month": 100_000}},
    }


@asynccontextmanager
async def two_worker_stage(
    database_url: str,
    redis_url: str,
    directory: Path,
    config: Callable[..., dict[str, Any]] = openai_config,
    upstreams: dict[str, UpstreamServer] | None = None,
    processes: bool = False,
    environment: dict[str, str] | None = None,
    **settings: Any,
) -> AsyncIterator[TwoWorkerStage]:
    """Run two workers, in this process or in two processes with `environment`.

    `config` receives the upstreams' addresses by name; the default name is `main`.
    """
    async with AsyncExitStack() as stack:
        servers = upstreams or {"main": OpenAIUpstream()}
        for up in servers.values():
            await stack.enter_async_context(up)
        database = await stack.enter_async_context(tcp_proxy(database_url))
        valkey = await stack.enter_async_context(tcp_proxy(redis_url))
        engine = create_engine(database_url, 4)
        stack.push_async_callback(engine.dispose)
        filled = config(**{name: up.url for name, up in servers.items()})
        log = BytesIO()
        ledgers = ConsistencyChecker(
            engine, list(servers.values()), WorkerLog.of(log), secrets=[UPSTREAM_KEY, JWT_SECRET, PASSWORD]
        )
        built = TwoWorkerStage([], database, valkey, servers, ledgers)
        if processes:
            given = {"DATABASE_URL": database.url, "REDIS_URL": valkey.url, "JWT_SECRET": JWT_SECRET}
            started = [
                stack.enter_async_context(
                    worker_process(directory / name, filled, given | (environment or {}))
                )
                for name in ("here", "there")
            ]
            built.workers += await asyncio.gather(*started)
            ledgers.log.read = lambda: "".join(
                door.output for door in built.workers if isinstance(door, WorkerProcess)
            )
        else:
            for name in ("here", "there"):
                (directory / name).mkdir(exist_ok=True)
                given = {"log_level": "INFO", **settings}
                built.workers.append(
                    await stack.enter_async_context(
                        running_gateway(database.url, valkey.url, directory / name, filled, **given)
                    )
                )
            configure_logging(Settings(_env_file=None, log_level="INFO"), stream=log)
            stack.callback(configure_logging, Settings(_env_file=None, log_level="WARNING"))
        yield built


@dataclass(slots=True)
class WorkerProcess(GatewayClient):
    """A worker that is a `gateway serve` process."""

    process: GatewayProcess

    @property
    def output(self) -> str:
        return self.process.output + self.process.errors


@asynccontextmanager
async def worker_process(
    directory: Path, config: dict[str, Any], environment: dict[str, str]
) -> AsyncIterator[WorkerProcess]:
    """Run a worker until the block ends, or until it is stopped or killed."""
    _write(directory, {"titles": {"enabled": False}, **config})
    with GatewayProcess("--data-dir", str(directory / "data"), cwd=directory, **environment) as served:
        await asyncio.to_thread(served.wait_for_banner)
        async with httpx.AsyncClient(base_url=served.address, timeout=60, limits=UNLIMITED) as http:
            yield WorkerProcess(served.address, http, served)


def _write(directory: Path, config: dict[str, Any]) -> None:
    directory.mkdir(exist_ok=True)
    (directory / "provider_config.yaml").write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")


async def send_request(
    client: GatewayClient,
    headers: dict[str, str],
    body: dict[str, Any],
    path: str = "/api/chat/stream",
    method: str = "POST",
    response: ClientResponse | None = None,
) -> ClientResponse:
    """Send a request and record the response; a broken connection raises nothing.

    `response` grows while the body arrives, so that the caller can watch it.
    """
    response = response if response is not None else ClientResponse()
    began = time.perf_counter()
    try:
        async with client.http.stream(
            method, path, json=body if method != "GET" else None, headers=headers
        ) as answer:
            response.status, response.headers = answer.status_code, dict(answer.headers)
            async for piece in answer.aiter_bytes():
                response.body += piece
            response.completed = True
    except httpx.TransportError:
        response.completed = False
    response.seconds = time.perf_counter() - began
    return response


async def stream_turn(
    client: GatewayClient, caller: Caller, message: str = "Hello?", **fields: Any
) -> ClientResponse:
    """Stream a turn with the account's access token."""
    return await send_request(client, caller.token_headers, {"message": message, **fields})


async def create_completion(
    client: GatewayClient, caller: Caller, message: str = "Hello?", **fields: Any
) -> ClientResponse:
    """Create a chat completion with the API key, unstreamed unless `stream` is given."""
    body = {"model": "main", "messages": [{"role": "user", "content": message}], **fields}
    return await send_request(client, caller.key_headers, body, "/v1/chat/completions")


async def wait_until(condition: Callable[[], object], seconds: float = 10) -> None:
    """Poll a condition that has no event."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def wait_pools_idle(one: TwoWorkerStage) -> None:
    """Wait until all pooled connections are returned: maintenance borrows one at times."""
    for worker in local_workers(one):
        pool: Any = worker.container.engine.pool
        await wait_until(lambda pool=pool: pool.checkedout() == 0)  # type: ignore[misc]


def local_workers(one: TwoWorkerStage) -> list[Gateway]:
    """Workers in this process."""
    return [door for door in one.workers if isinstance(door, Gateway)]


def worker_processes(one: TwoWorkerStage) -> list[WorkerProcess]:
    """Workers in processes of their own."""
    return [door for door in one.workers if isinstance(door, WorkerProcess)]
