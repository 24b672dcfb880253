"""A gateway on loopback in the test's event loop, on real PostgreSQL and Valkey."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID, uuid4

import httpx
import uvicorn
import yaml
from fastapi import FastAPI

from gateway import main
from gateway.bootstrap.container import Container
from gateway.cache.auth import AuthCache
from gateway.cache.client import ValkeyUnavailable
from gateway.cache.rate_limit import RateLimiter
from gateway.cli.serve import KEEP_ALIVE_SECONDS
from gateway.core.database import create_session_factory
from gateway.core.settings import Settings
from gateway.main import create_app
from gateway.repositories.unit_of_work import UnitOfWork
from tests.support.engines import SLOW_MACHINE_SECONDS
from tests.support.shared_startup import share_routes_and_embedder, use_cheap_password_hashes

share_routes_and_embedder()
use_cheap_password_hashes()

PASSWORD = "correct horse battery staple"
# httpx allows 100 connections by default.
UNLIMITED = httpx.Limits(max_connections=None)


@dataclass(slots=True)
class Account:
    """A registered account; `headers` authenticate its requests."""

    id: str
    email: str
    access_token: str
    refresh_token: str

    @property
    def headers(self) -> dict[str, str]:
        return {"authorization": f"Bearer {self.access_token}"}


@dataclass(slots=True)
class GatewayClient:
    """A gateway as clients see it; `http` has its address as base URL."""

    url: str
    http: httpx.AsyncClient

    async def sign_up(self) -> Account:
        """Register a new account, so that tests can share a database."""
        email = f"{uuid4().hex}@example.org"
        body = {"email": email, "password": PASSWORD}
        user = await self.http.post("/api/auth/register", json=body)
        assert user.status_code == 201, user.text
        tokens = (await self.http.post("/api/auth/login", json=body)).json()
        return Account(user.json()["id"], email, tokens["access_token"], tokens["refresh_token"])

    async def create_api_key(self, person: Account, **fields: object) -> str:
        """Create an API key and return its secret."""
        answer = await self.http.post(
            "/api/user/api-keys", json={"name": "test", **fields}, headers=person.headers
        )
        assert answer.status_code == 201, answer.text
        secret = answer.json()["secret"]
        assert isinstance(secret, str)
        return secret


@dataclass(slots=True)
class Gateway(GatewayClient):
    """A gateway in this process, with access to its container."""

    app: FastAPI

    @property
    def container(self) -> Container:
        container = self.app.state.container
        assert isinstance(container, Container)
        return container

    def unit_of_work(self) -> UnitOfWork:
        """A unit of work on the gateway's database, for what no route does."""
        return UnitOfWork(create_session_factory(self.container.engine))


async def set_role(gateway: Gateway, person: Account, *, role: str = "admin") -> None:
    """Set an account's role, which no route can do for the first administrator."""
    async with gateway.unit_of_work() as uow:
        await uow.admin.update(UUID(person.id), {"role": role}, revoke_access_tokens=False)
    valkey = gateway.container.valkey
    await AuthCache(valkey, RateLimiter(valkey, {})).invalidate_account(UUID(person.id))


@asynccontextmanager
async def running_gateway(
    database_url: str, redis_url: str, directory: Path, config: dict[str, object], **settings: object
) -> AsyncIterator[Gateway]:
    """Run a gateway until the block ends; `config` becomes its `provider_config.yaml`.

    Titles are off by default, so that upstreams see the calls of turns only.
    """
    config = {"titles": {"enabled": False}, **config}
    path = directory / "provider_config.yaml"
    path.write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")
    # A garbage collection over the whole process would be half of a start.
    main.freeze_gc = _skip_gc_freeze
    app = create_app(
        Settings(
            _env_file=None,
            database_url=database_url,
            redis_url=redis_url,
            jwt_secret="test-secret-" + "0" * 32,
            provider_config=path,
            data_dir=directory,
            **{"log_level": "WARNING", **settings},
        )
    )
    # With the protocol given, asyncio sets TCP_NODELAY; without it every response takes 40 ms.
    listener = socket.socket(proto=socket.IPPROTO_TCP)
    listener.bind(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    server = _PromptServer(
        uvicorn.Config(
            app,
            lifespan="on",
            log_config=None,
            access_log=False,
            timeout_graceful_shutdown=5,
            # httpx keeps connections for 5 s, as uvicorn does: it would use one that is just closed.
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
        )
    )
    # `serve()` would install signal handlers in the test process.
    task = asyncio.create_task(server._serve([listener]))
    try:
        while not server.started:
            if task.done():
                task.result()
                raise RuntimeError("the server ended before it started")
            await asyncio.sleep(0.01)
        gateway = Gateway(
            url, httpx.AsyncClient(base_url=url, timeout=SLOW_MACHINE_SECONDS, limits=UNLIMITED), app
        )
        await clear_failed_attempts(gateway)
        async with gateway.http:
            yield gateway
    finally:
        server.stop()
        await task


class _PromptServer(uvicorn.Server):
    """A server that stops at once.

    uvicorn polls `should_exit` and then sleeps 100 ms, which adds up to a minute per run.
    """

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._stop_requested = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        try:
            await super().startup(sockets)
        except SystemExit:  # it would end the whole test process
            raise RuntimeError("the gateway did not start; its log says why") from None

    def stop(self) -> None:
        self.should_exit = True
        self._stop_requested.set()

    async def main_loop(self) -> None:
        while not await self.on_tick(0):  # sets the Date header, once a second
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stop_requested.wait(), 1)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for listener in [*self.servers, *(sockets or ())]:
            listener.close()
        for connection in list(self.server_state.connections):
            connection.shutdown()
        deadline = asyncio.get_running_loop().time() + (self.config.timeout_graceful_shutdown or 0)
        while self.server_state.connections or self.server_state.tasks:
            if asyncio.get_running_loop().time() > deadline:
                for task in self.server_state.tasks:
                    task.cancel()
                break
            await asyncio.sleep(0.005)
        await self.lifespan.shutdown()


def _skip_gc_freeze() -> None:
    return


async def clear_failed_attempts(gateway: Gateway) -> None:
    """Reset failed attempts: all tests share one network address."""
    valkey = gateway.container.valkey
    while await valkey.ping():
        try:
            names = await valkey.execute("KEYS", "attempts:*")
            if names:
                await valkey.execute("DEL", *names)
        except ValkeyUnavailable:  # a busy machine was late, and the breaker is open for a moment
            await asyncio.sleep(0.1)
        else:
            return
