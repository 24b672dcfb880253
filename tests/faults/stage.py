"""Two workers of one gateway behind proxies, their upstreams, and callers that put down what they heard."""

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
from gateway.core.logging import configure_logging
from gateway.core.settings import Settings
from tests.faults.ledgers import Heard, Ledgers, Log
from tests.gateway_server import ALL_AT_ONCE, PASSWORD, Door, Gateway, Person, running_gateway
from tests.serving import Served
from tests.tcp_proxy import TcpProxy, tcp_proxy
from tests.upstreams.http_server import UpstreamServer
from tests.upstreams.openai_server import OpenAIUpstream

UPSTREAM_KEY = "upstream-credential-4711"
JWT_SECRET = "test-secret-" + "0" * 32


@dataclass(slots=True)
class Caller:
    """An account, by its person's token and by a key of its own."""

    person: Person
    key: str

    @property
    def as_person(self) -> dict[str, str]:
        return self.person.headers

    @property
    def as_key(self) -> dict[str, str]:
        return {"authorization": f"Bearer {self.key}"}


@dataclass(slots=True)
class Stage:
    """`doors` are the workers; `database` and `valkey` the proxies between them and their engines."""

    doors: list[Door]
    database: TcpProxy
    valkey: TcpProxy
    upstreams: dict[str, UpstreamServer]
    ledgers: Ledgers

    @property
    def here(self) -> Door:
        return self.doors[0]

    @property
    def there(self) -> Door:
        return self.doors[1]

    @property
    def upstream(self) -> UpstreamServer:
        return next(iter(self.upstreams.values()))

    async def caller(self) -> Caller:
        """A fresh account, whose rows and secrets are looked at from now on."""
        person = await self.here.sign_up()
        key = await self.here.new_key(person)
        self.ledgers.users.append(UUID(person.id))
        self.ledgers.secrets += [key, person.access_token, person.refresh_token]
        return Caller(person, key)


def openai_config(**providers: str) -> dict[str, Any]:
    """One model of each name that is given, `<name>` answered by `v-<name>` at the address; no limits."""
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
async def stage(
    database_url: str,
    redis_url: str,
    directory: Path,
    config: Callable[..., dict[str, Any]] = openai_config,
    upstreams: dict[str, UpstreamServer] | None = None,
    processes: bool = False,
    environment: dict[str, str] | None = None,
    **settings: Any,
) -> AsyncIterator[Stage]:
    """Two workers, in this process or in two of their own, where `environment` is theirs.

    `config` is given the upstreams' addresses by name: `main` by default.
    """
    async with AsyncExitStack() as stack:
        ups = upstreams or {"main": OpenAIUpstream()}
        for up in ups.values():
            await stack.enter_async_context(up)
        database = await stack.enter_async_context(tcp_proxy(database_url))
        valkey = await stack.enter_async_context(tcp_proxy(redis_url))
        engine = create_engine(database_url, 4)
        stack.push_async_callback(engine.dispose)
        filled = config(**{name: up.url for name, up in ups.items()})
        log = BytesIO()
        ledgers = Ledgers(
            engine, list(ups.values()), Log.of(log), secrets=[UPSTREAM_KEY, JWT_SECRET, PASSWORD]
        )
        one = Stage([], database, valkey, ups, ledgers)
        if processes:
            given = {"DATABASE_URL": database.url, "REDIS_URL": valkey.url, "JWT_SECRET": JWT_SECRET}
            started = [
                stack.enter_async_context(
                    worker_process(directory / name, filled, given | (environment or {}))
                )
                for name in ("here", "there")
            ]
            one.doors += await asyncio.gather(*started)
            ledgers.log.read = lambda: "".join(door.said for door in one.doors if isinstance(door, Worker))
        else:
            for name in ("here", "there"):
                (directory / name).mkdir(exist_ok=True)
                given = {"log_level": "INFO", **settings}
                one.doors.append(
                    await stack.enter_async_context(
                        running_gateway(database.url, valkey.url, directory / name, filled, **given)
                    )
                )
            configure_logging(Settings(_env_file=None, log_level="INFO"), stream=log)
            stack.callback(configure_logging, Settings(_env_file=None, log_level="WARNING"))
        yield one


@dataclass(slots=True)
class Worker(Door):
    """A worker in a process of its own, `gateway serve`."""

    served: Served

    @property
    def said(self) -> str:
        return self.served.output + self.served.errors


@asynccontextmanager
async def worker_process(
    directory: Path, config: dict[str, Any], environment: dict[str, str]
) -> AsyncIterator[Worker]:
    """A worker that serves until the block ends, or until it is stopped or killed."""
    _write(directory, {"titles": {"enabled": False}, **config})
    with Served("--data-dir", str(directory / "data"), cwd=directory, **environment) as served:
        await asyncio.to_thread(served.banner)
        async with httpx.AsyncClient(base_url=served.address, timeout=60, limits=ALL_AT_ONCE) as http:
            yield Worker(served.address, http, served)


def _write(directory: Path, config: dict[str, Any]) -> None:
    directory.mkdir(exist_ok=True)
    (directory / "provider_config.yaml").write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")


async def hear(
    door: Door,
    headers: dict[str, str],
    body: dict[str, Any],
    path: str = "/api/chat/stream",
    method: str = "POST",
    heard: Heard | None = None,
) -> Heard:
    """All that comes of one request; a connection that breaks is part of it, never an exception.

    `heard` grows while it comes, for who looks on.
    """
    heard = heard if heard is not None else Heard()
    began = time.perf_counter()
    try:
        async with door.http.stream(
            method, path, json=body if method != "GET" else None, headers=headers
        ) as answer:
            heard.status, heard.headers = answer.status_code, dict(answer.headers)
            async for piece in answer.aiter_bytes():
                heard.body += piece
            heard.whole = True
    except httpx.TransportError:
        heard.whole = False
    heard.seconds = time.perf_counter() - began
    return heard


async def say(door: Door, caller: Caller, message: str = "Hello?", **fields: Any) -> Heard:
    """A person's turn, as a stream."""
    return await hear(door, caller.as_person, {"message": message, **fields})


async def complete(door: Door, caller: Caller, message: str = "Hello?", **fields: Any) -> Heard:
    """A service's turn in OpenAI's dialect, whole unless `stream` is given."""
    body = {"model": "main", "messages": [{"role": "user", "content": message}], **fields}
    return await hear(door, caller.as_key, body, "/v1/chat/completions")


async def until(what: Callable[[], object], seconds: float = 10) -> None:
    """Wait until something that tells nobody is so."""
    async with asyncio.timeout(seconds):
        while not what():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def connections_are_back(one: Stage) -> None:
    """Wait until no worker's pool misses a connection: rounds of housekeeping borrow one for a moment."""
    for worker in containers(one):
        pool: Any = worker.container.engine.pool
        await until(lambda pool=pool: pool.checkedout() == 0)  # type: ignore[misc]


def containers(one: Stage) -> list[Gateway]:
    """The workers that run in this process."""
    return [door for door in one.doors if isinstance(door, Gateway)]


def processes(one: Stage) -> list[Worker]:
    """The workers that have processes of their own."""
    return [door for door in one.doors if isinstance(door, Worker)]
