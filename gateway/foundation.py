"""What outlives a change of the provider configuration: engines, connections, running turns, accounts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import httpx
from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.cache.attempts import Attempts
from gateway.cache.auth_cache import AuthCache
from gateway.cache.client import ValkeyClient
from gateway.cache.event_log import EventLog
from gateway.cache.rate_limit import RateLimiter
from gateway.core.blob_store import BlobStore
from gateway.core.database import create_engine, create_session_factory
from gateway.core.mailer import mailer_of
from gateway.core.passwords import PasswordHasher
from gateway.core.sealing import Sealer
from gateway.core.settings import Settings
from gateway.core.tokens import AccessTokens
from gateway.domain.budget import PerMinute
from gateway.domain.catalog import Catalog
from gateway.guardrails.pipeline import GuardrailPipeline
from gateway.providers.chat.http_client import upstream_client
from gateway.providers.embedding.wordllama import WordLlamaEmbedder
from gateway.repositories.idempotency import IdempotencyRepository
from gateway.repositories.running_turn import RunningTurnRepository
from gateway.repositories.turn import TurnRepository
from gateway.repositories.unit_of_work import UnitOfWork
from gateway.repositories.waiting_turn import WaitingTurnRepository
from gateway.services.authenticator import Authenticator
from gateway.services.bus import Bus
from gateway.services.endings import Endings
from gateway.services.environment_keys import EnvironmentKeys, parse_keys
from gateway.services.housekeeping import Housekeeping
from gateway.services.idempotency import Idempotency
from gateway.services.images import ImageService
from gateway.services.keeping import Keeper
from gateway.services.ledger import Ledger
from gateway.services.letters import AccountNotices
from gateway.services.password_reset import PasswordResetService
from gateway.services.queueing import Waiting
from gateway.services.recording import Recorder
from gateway.services.rejoining import Rejoining
from gateway.services.relaying import Relay
from gateway.services.rescue import Rescue
from gateway.services.rollup import RollUp
from gateway.services.slots import Slots
from gateway.services.throttle import Throttle
from gateway.services.turns import TurnTasks


@dataclass(frozen=True, slots=True)
class Stores:
    """Where things are kept."""

    engine: AsyncEngine
    uow: Callable[[], UnitOfWork]
    valkey: ValkeyClient
    blobs: BlobStore


@dataclass(frozen=True, slots=True)
class Models:
    """What calls and judges models, whichever are configured."""

    http: httpx.AsyncClient
    embedder: WordLlamaEmbedder
    guards: GuardrailPipeline


@dataclass(frozen=True, slots=True)
class Turns:
    """The turns that run in this worker, and what makes them last."""

    tasks: TurnTasks
    events: EventLog
    bus: Bus
    running: RunningTurnRepository
    keeper: Keeper
    waiting: Waiting
    idempotency: Idempotency
    rejoining: Rejoining
    repository: TurnRepository
    ledger: Ledger


@dataclass(frozen=True, slots=True)
class Accounts:
    """Who is who, and what they may."""

    limiter: RateLimiter
    cache: AuthCache
    tokens: AccessTokens
    passwords: PasswordHasher
    endings: Endings
    throttle: Throttle
    password_resets: PasswordResetService
    notices: AccountNotices
    environment_keys: EnvironmentKeys
    authenticator: Authenticator


@dataclass(frozen=True, slots=True)
class Foundation:
    """Made once; what of it goes by the configuration is told of another one by `adopt`."""

    settings: Settings
    stores: Stores
    models: Models
    turns: Turns
    accounts: Accounts

    def adopt(self, catalog: Catalog) -> None:
        """From now on limits are those of `catalog`; reservations that are held are settled all the same."""
        self.accounts.limiter.adopt(_per_minute(catalog))
        self.turns.ledger.adopt(catalog)
        self.turns.tasks.slots.adopt(catalog.concurrency, _turns_at_once(catalog))


@asynccontextmanager
async def open_foundation(settings: Settings, catalog: Catalog) -> AsyncIterator[Foundation]:
    """Make it; what was opened is closed in reverse, also where opening fails half-way."""
    async with AsyncExitStack() as stack:
        stores = _open_stores(settings, stack)
        models = await _open_models(stack)
        turns = _open_turns(settings, catalog, stores, stack)
        accounts = _open_accounts(settings, catalog, stores, turns.tasks, stack)
        _keep_house(settings, catalog, stores, turns, stack)
        await stack.enter_async_context(accounts.endings.watching())
        await stack.enter_async_context(turns.bus.watching())
        yield Foundation(settings, stores, models, turns, accounts)


def _open_stores(settings: Settings, stack: AsyncExitStack) -> Stores:
    engine = create_engine(settings.database_url.get_secret_value(), settings.database_pool_size)
    stack.push_async_callback(engine.dispose)
    valkey = ValkeyClient(settings.redis_url.get_secret_value())
    stack.push_async_callback(valkey.aclose)
    uow = partial(UnitOfWork, create_session_factory(engine))
    return Stores(engine, uow, valkey, BlobStore(settings.data_dir / "media"))


async def _open_models(stack: AsyncExitStack) -> Models:
    http = await stack.enter_async_context(upstream_client())
    embedder = WordLlamaEmbedder.load()
    guards = GuardrailPipeline.of("injection", "unsafe", embed=embedder.embed)
    stack.push_async_callback(guards.aclose)
    # Loading the guard's model takes half a second: not at the start, and not out of the first turn.
    in_background(stack, guards.warm_up())
    return Models(http, embedder, guards)


def _open_turns(settings: Settings, catalog: Catalog, stores: Stores, stack: AsyncExitStack) -> Turns:
    lease = settings.turn_lease_seconds
    slots = Slots(catalog.concurrency, _turns_at_once(catalog))
    tasks = TurnTasks(settings.shutdown_grace_seconds, slots)
    events, bus = EventLog(stores.valkey), Bus(stores.valkey)
    recorder = Recorder(tasks, events)
    stack.push_async_callback(recorder.aclose)
    in_background(stack, recorder.run())
    running, repository = RunningTurnRepository(stores.engine), TurnRepository(stores.engine)
    keeper = Keeper(tasks, running, bus)
    in_background(stack, keeper.run())
    keys = IdempotencyRepository(stores.engine)
    sealer = Sealer(settings.jwt_secret.get_secret_value())
    idempotency = Idempotency(keys, sealer, tasks, Relay(events, bus), lease_seconds=lease)
    stack.push_async_callback(idempotency.aclose)
    rejoining = Rejoining(idempotency, bus)
    stack.push_async_callback(rejoining.aclose)
    return Turns(
        tasks=tasks,
        events=events,
        bus=bus,
        running=running,
        keeper=keeper,
        waiting=Waiting(WaitingTurnRepository(stores.engine), tasks, bus),
        idempotency=idempotency,
        rejoining=rejoining,
        repository=repository,
        ledger=Ledger(repository, catalog, lease_seconds=lease),
    )


def _open_accounts(
    settings: Settings, catalog: Catalog, stores: Stores, tasks: TurnTasks, stack: AsyncExitStack
) -> Accounts:
    uow, secret = stores.uow, settings.jwt_secret.get_secret_value()
    limiter = RateLimiter(stores.valkey, _per_minute(catalog))
    cache = AuthCache(stores.valkey, limiter)
    tokens = AccessTokens(secret, settings.access_token_ttl_seconds)
    passwords = PasswordHasher()
    endings = Endings(tasks, cache, stores.valkey, uow)
    throttle = Throttle(Attempts(stores.valkey), secret)
    mailer = mailer_of(settings)
    resets = PasswordResetService(uow, passwords, endings, throttle, mailer, page=settings.password_reset_url)
    stack.push_async_callback(resets.aclose)
    notices = AccountNotices(mailer)
    stack.push_async_callback(notices.aclose)
    keys = parse_keys(settings.gateway_api_keys.get_secret_value())
    environment_keys = EnvironmentKeys(
        keys,
        uow,
        cache,
        tier=catalog.operator_tier,
        requests_per_minute=catalog.limits.environment_key_requests_per_minute,
    )
    authenticator = Authenticator(uow, cache, tokens, limiter, environment_keys)
    stack.push_async_callback(authenticator.aclose)
    return Accounts(
        limiter=limiter,
        cache=cache,
        tokens=tokens,
        passwords=passwords,
        endings=endings,
        throttle=throttle,
        password_resets=resets,
        notices=notices,
        environment_keys=environment_keys,
        authenticator=authenticator,
    )


def _keep_house(
    settings: Settings, catalog: Catalog, stores: Stores, turns: Turns, stack: AsyncExitStack
) -> None:
    """What is put in order again and again, while the stack is open."""
    images = ImageService(stores.uow, stores.blobs, most_bytes=catalog.media.max_bytes)
    housekeeping = Housekeeping(
        stores.uow,
        turns.repository,
        turns.ledger,
        Rescue(turns.running, turns.events),
        turns.tasks,
        [images.tidy, turns.idempotency.tidy],
        interval=settings.turn_lease_seconds / 4,
    )
    in_background(stack, housekeeping.run())
    in_background(stack, RollUp(stores.uow).run())


def in_background(stack: AsyncExitStack, work: Any) -> None:
    """Run a coroutine until the stack is closed."""
    stack.push_async_callback(_end, asyncio.create_task(work))


async def _end(task: asyncio.Task[Any]) -> None:
    task.cancel()
    await asyncio.wait({task})


def _per_minute(catalog: Catalog) -> dict[str, PerMinute]:
    return {
        name: PerMinute(tier.requests_per_minute, tier.reads_per_minute)
        for name, tier in catalog.tiers.items()
    }


def _turns_at_once(catalog: Catalog) -> dict[str, int | None]:
    return {name: tier.concurrent_turns for name, tier in catalog.tiers.items()}
