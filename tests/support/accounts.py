"""The account routes on real engines, without the rest of the application."""

from __future__ import annotations

import asyncio
import secrets
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Annotated, Any

import httpx
from fastapi import APIRouter, Depends, FastAPI
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.agent.routing.upstream_pool import UpstreamPool
from gateway.cache.auth import AuthCache
from gateway.cache.circuit_breakers import CircuitBreakerStore
from gateway.cache.client import ValkeyClient
from gateway.cache.event_log import EventLog
from gateway.cache.failed_attempts import FailedAttemptStore
from gateway.cache.pubsub import PubSub
from gateway.cache.rate_limit import RateLimiter
from gateway.cache.response_cache import ResponseCache
from gateway.core.blob_store import BlobStore
from gateway.core.database import create_engine, create_session_factory
from gateway.core.email.mailer import FileMailer
from gateway.core.ref_count import RefCount
from gateway.core.security.tokens import AccessTokens, RefreshTokens
from gateway.core.settings import Settings
from gateway.domain.accounts.principal import Principal
from gateway.domain.config.caches import ExactCache
from gateway.domain.config.catalog import Catalog
from gateway.domain.usage.budgets import MinuteLimits
from gateway.middleware import install_middleware
from gateway.repositories.unit_of_work import UnitOfWork
from gateway.routers.api import api_keys, auth, sessions, users
from gateway.routers.dependencies import api_key_only, require_admin, user_or_api_key
from gateway.routers.errors import install_error_handlers
from gateway.services.accounts.api_keys import ApiKeyService
from gateway.services.accounts.auth import AuthService
from gateway.services.accounts.authenticator import Authenticator
from gateway.services.accounts.data_export import AccountExporter
from gateway.services.accounts.deletion import AccountCaches, AccountDeletionService
from gateway.services.accounts.environment_keys import EnvironmentKeys
from gateway.services.accounts.notices import AccountNotifier
from gateway.services.accounts.password_reset import PasswordResetService
from gateway.services.accounts.revocation import RevocationService
from gateway.services.accounts.sessions import SessionService
from gateway.services.accounts.throttle import AccountThrottle
from gateway.services.accounts.users import UserService
from gateway.services.execution.turn_tasks import TurnTaskRegistry
from gateway.services.generation.image_library import ImageLibrary
from gateway.services.operations.admin import AdminService
from tests.support.engines import SLOW_MACHINE_SECONDS
from tests.support.shared_startup import cheap_password_hasher

CATALOG = Catalog.model_validate(
    {
        "providers": {"mock": {"type": "mock"}},
        "models": {name: {"provider": "mock", "model": name} for name in ("small", "large")},
        "aliases": {"fast": ["small"]},
    }
)
PASSWORD = "correct horse battery"
SECRET = "a secret of tests, and long enough"

# Stand-ins for the routes of other callers: what is tested is who gets in.
probes = APIRouter()


@probes.get("/v1/probe")
async def service_probe(principal: Annotated[Principal, Depends(api_key_only("chat"))]) -> dict[str, Any]:
    return {"user_id": str(principal.user_id), "kind": principal.kind}


@probes.get("/api/chat/probe")
async def chat_probe(
    principal: Annotated[Principal, Depends(user_or_api_key("chat", rate_category="turn"))],
) -> dict[str, Any]:
    return {"user_id": str(principal.user_id), "kind": principal.kind}


@probes.get("/api/admin/probe")
async def admin_probe(principal: Annotated[Principal, Depends(require_admin)]) -> dict[str, Any]:
    return {"user_id": str(principal.user_id)}


@dataclass
class AccountApp:
    """The application's parts and a client without credentials."""

    client: httpx.AsyncClient
    container: Any
    engine: AsyncEngine
    tokens: AccessTokens

    async def sign_up(self, password: str = PASSWORD) -> SignedInAccount:
        """A new account, signed in."""
        email = f"{secrets.token_hex(8)}@example.com"
        made = await self.client.post("/api/auth/register", json={"email": email, "password": password})
        assert made.status_code == 201, made.text
        return SignedInAccount(self, made.json()["id"], email, await self.login(email, password))

    async def login(self, email: str, password: str = PASSWORD) -> dict[str, Any]:
        answer = await self.client.post("/api/auth/login", json={"email": email, "password": password})
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def sql(self, statement: str, **values: Any) -> list[Any]:
        async with self.engine.begin() as connection:
            result = await connection.execute(text(statement), values)
            return list(result.all()) if result.returns_rows else []

    async def wait_until_blocked(self, task: asyncio.Task[Any]) -> None:
        """Waits until somebody waits for a lock in this database, or the task is over without that."""
        waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
        while not task.done():
            if (await self.sql(f"{waiting} AND datname = current_database()"))[0][0]:
                return
            await asyncio.sleep(0.01)  # the database tells nobody of its locks


@dataclass
class SignedInAccount:
    """Somebody with an account and a session."""

    app: AccountApp
    id: str
    email: str
    tokens: dict[str, Any]

    @property
    def headers(self) -> dict[str, str]:
        return {"authorization": f"Bearer {self.tokens['access_token']}"}

    async def request(self, method: str, path: str, **options: Any) -> httpx.Response:
        return await self.app.client.request(method, path, headers=self.headers, **options)

    async def create_api_key(self, **body: Any) -> dict[str, Any]:
        made = await self.request("POST", "/api/user/api-keys", json={"name": "test", **body})
        assert made.status_code == 201, made.text
        return made.json()


def make_container(
    engine: AsyncEngine, valkey: ValkeyClient, tokens: AccessTokens, options: dict[str, Any]
) -> SimpleNamespace:
    """The services of accounts, as `gateway.bootstrap.container` builds them."""
    uow = partial(UnitOfWork, create_session_factory(engine))
    limits = options.get("requests_per_minute", {"free": None})
    reads = options.get("reads_per_minute")
    limiter = RateLimiter(valkey, {name: MinuteLimits(turns, reads) for name, turns in limits.items()})
    cache, passwords, tasks = AuthCache(valkey, limiter), cheap_password_hasher(), TurnTaskRegistry()
    pubsub = PubSub(valkey)
    revocation = RevocationService(tasks, cache, pubsub, uow, poll_seconds=options.get("check_seconds", 3600))
    throttle = AccountThrottle(FailedAttemptStore(valkey), SECRET)
    nowhere = Path(tempfile.gettempdir()) / f"gateway-mailbox-{secrets.token_hex(8)}"
    mailer = FileMailer(options.get("mailbox", nowhere))
    environment_keys = EnvironmentKeys(options.get("environment_keys", ()), uow, cache, tier="enterprise")
    notices = AccountNotifier(mailer)
    users = UserService(uow, passwords, revocation, throttle, notices, operator_tier="enterprise")
    responses = ResponseCache(valkey, ExactCache())
    upstreams = UpstreamPool(Catalog(), {}, CircuitBreakerStore(valkey, pubsub, CATALOG.circuit_breaker))
    return SimpleNamespace(
        references=RefCount(),
        valkey=valkey,
        pubsub=pubsub,
        cache=cache,
        uow=uow,
        tasks=tasks,
        accounts=SimpleNamespace(
            revocation=revocation,
            throttle=throttle,
            authenticator=Authenticator(uow, cache, tokens, limiter, environment_keys),
            environment_keys=environment_keys,
            auth=AuthService(
                uow,
                revocation,
                tokens,
                RefreshTokens(SECRET),
                passwords,
                throttle,
                refresh_ttl_seconds=options.get("refresh_ttl", 3600),
                default_tier="free",
            ),
            sessions=SessionService(uow, revocation),
            password_resets=PasswordResetService(uow, passwords, revocation, throttle, mailer),
            users=users,
            notices=notices,
            mailer=mailer,
            passwords=passwords,
            data_export=AccountExporter(uow),
            deletion=AccountDeletionService(
                uow,
                users.confirm_password,
                revocation,
                ImageLibrary(uow, BlobStore(nowhere), max_bytes=1024),
                notices,
                AccountCaches(cache, responses, EventLog(valkey)),
            ),
            api_keys=ApiKeyService(uow, cache, CATALOG),
        ),
        operations=SimpleNamespace(admin=AdminService(uow, cache, revocation, CATALOG, {}, upstreams)),
    )


@asynccontextmanager
async def account_app(database_url: str, redis_url: str, **options: Any) -> AsyncIterator[AccountApp]:
    """`options`: access_ttl (900), refresh_ttl (3600) and check_seconds (never), in seconds; mailbox, a
    folder; address, of the client (one that no other test has); trusted_proxies.
    """
    engine = create_engine(database_url, 10)
    # These tests are about limits that hold, not about outages.
    valkey = ValkeyClient(redis_url, deadline=SLOW_MACHINE_SECONDS)
    tokens = AccessTokens(SECRET, options.get("access_ttl", 900))
    container = make_container(engine, valkey, tokens, options)
    app = FastAPI()
    app.state.container = container
    for router in (auth.router, users.router, sessions.router, api_keys.router, probes):
        app.include_router(router)
    install_error_handlers(app)
    install_middleware(app, Settings(_env_file=None, trusted_proxies=options.get("trusted_proxies", "")))
    # Failed sign-ins are counted by address: no test is to be slowed by another's.
    address = options.get("address") or f"10.{'.'.join(str(secrets.randbelow(256)) for _ in range(3))}"
    transport = httpx.ASGITransport(app=app, client=(address, 50000))
    try:
        async with (
            container.accounts.revocation.running(),
            container.pubsub.running(),
            httpx.AsyncClient(transport=transport, base_url="http://gateway.test") as client,
        ):
            yield AccountApp(client, container, engine, tokens)
    finally:
        await container.accounts.password_resets.aclose()
        await container.accounts.authenticator.aclose()
        await valkey.aclose()
        await engine.dispose()


def status_and_code(answer: httpx.Response) -> tuple[int, str]:
    """(status, code) of an error answer."""
    return answer.status_code, answer.json()["error"]["code"]
