"""The gateway of an integration test, and the upstream server and the account that most of them use.

A test module configures its gateway with a fixture `gateway_config`. The gateway keeps running from one test
to the next while its configuration stays the same: a start costs 0.1 s of CPU.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from pathlib import Path
from typing import Any

import openai
import pytest
import pytest_asyncio

from tests.support.gateway import Account, Gateway, clear_failed_attempts, running_gateway
from tests.support.upstreams.openai_server import OpenAIUpstream

StartGateway = Callable[..., AbstractAsyncContextManager[Gateway]]
# Failures that one test asks for must not leave a provider's circuit breaker open for the next test.
_NO_BREAKER = {"failures": 100_000}


class ModuleGateway:
    """At most one running gateway: that of the last test of the module."""

    def __init__(self, database_url: str, redis_url: str, factory: pytest.TempPathFactory) -> None:
        self._urls = database_url, redis_url
        self._factory = factory
        self._stack = AsyncExitStack()
        self._gateway: Gateway | None = None
        self._key = ""

    async def get(self, config: dict[str, Any], settings: dict[str, Any]) -> Gateway:
        """The gateway that runs with this configuration, else a new one in its place."""
        config = {"circuit_breaker": _NO_BREAKER, **config}
        key = json.dumps([config, settings], default=str)
        if self._gateway is None or key != self._key:
            await self.aclose()
            running = running_gateway(*self._urls, self._factory.mktemp("gateway"), config, **settings)
            self._gateway, self._key = await self._stack.enter_async_context(running), key
        else:
            await clear_failed_attempts(self._gateway)
        return self._gateway

    async def aclose(self) -> None:
        self._gateway = None
        await self._stack.aclose()


@pytest_asyncio.fixture(scope="module")
async def module_gateway(
    database_url: str, redis_url: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[ModuleGateway]:
    holder = ModuleGateway(database_url, redis_url, tmp_path_factory)
    yield holder
    await holder.aclose()


@pytest.fixture
def gateway_config(upstream: OpenAIUpstream) -> dict[str, Any]:
    """What `provider_config.yaml` holds; modules override it."""
    return {
        "providers": {"up": {"type": "openai", "base_url": upstream.url}},
        "models": {"small": {"provider": "up", "model": "v-small"}},
        "routing": {"light": "small", "heavy": "small"},
    }


@pytest.fixture
def gateway_settings() -> dict[str, Any]:
    """Settings of the gateway beside its configuration; modules override it."""
    return {}


@pytest.fixture
async def gateway(
    request: pytest.FixtureRequest,
    gateway_config: dict[str, Any],
    gateway_settings: dict[str, Any],
    module_gateway: ModuleGateway,
) -> AsyncIterator[Gateway]:
    """A running gateway, configured by `gateway_config` and `gateway_settings`."""
    yield await module_gateway.get(gateway_config, gateway_settings)
    # Breakers of its own remember what failed; emptied engines are not what it has in its caches.
    fresh = {"clean_database", "clean_redis"} & set(request.fixturenames)
    if fresh or "circuit_breaker" in gateway_config:
        await module_gateway.aclose()


@pytest.fixture
def start_gateway(database_url: str, redis_url: str, tmp_path: Path) -> StartGateway:
    """Start a gateway of the test's own: `async with start_gateway(config, **settings) as gateway`."""

    def start(config: dict[str, Any], **settings: Any) -> AbstractAsyncContextManager[Gateway]:
        return running_gateway(database_url, redis_url, tmp_path, config, **settings)

    return start


@pytest_asyncio.fixture(scope="module")
async def upstream_server() -> AsyncIterator[OpenAIUpstream]:
    async with OpenAIUpstream() as server:
        yield server


@pytest.fixture
def upstream(upstream_server: OpenAIUpstream) -> OpenAIUpstream:
    """An OpenAI-compatible server without a script and without calls."""
    upstream_server.reset()
    return upstream_server


@pytest.fixture
async def person(gateway: Gateway) -> Account:
    """A fresh account, signed in."""
    return await gateway.sign_up()


@pytest.fixture
async def client(gateway: Gateway, person: Account) -> AsyncIterator[openai.AsyncOpenAI]:
    """The official client with a key of the account."""
    key = await gateway.create_api_key(person)
    async with openai.AsyncOpenAI(api_key=key, base_url=f"{gateway.url}/v1", max_retries=0) as client:
        yield client
