"""Resources shared by all containers of a process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import httpx
from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.cache.auth import AuthCache
from gateway.cache.client import ValkeyClient
from gateway.cache.event_log import EventLog
from gateway.cache.failed_attempts import FailedAttemptStore
from gateway.cache.pubsub import PubSub
from gateway.cache.rate_limit import RateLimiter
from gateway.core.aio import cancel_and_wait
from gateway.core.blob_store import BlobStore
from gateway.core.database import create_engine, create_session_factory
from gateway.core.email.mailer import create_mailer
from gateway.core.security.cipher import ResponseCipher
from gateway.core.security.passwords import PasswordHasher
from gateway.core.security.tokens import AccessTokens
from gateway.core.settings import Settings
from gateway.domain.config.catalog import Catalog
from gateway.domain.config.guardrails import INPUT_GUARDS
from gateway.domain.usage.budgets import MinuteLimits
from gateway.guardrails.pipeline import GuardrailPipeline
from gateway.providers.http.client import upstream_client
from gateway.providers.local.wordllama import WordLlamaEmbedder
from gateway.repositories.idempotency import IdempotencyRepository
from gateway.repositories.turns.repository import TurnRepository
from gateway.repositories.turns.running import RunningTurnRepository
from gateway.repositories.turns.waiting import WaitingTurnRepository
from gateway.repositories.unit_of_work import UnitOfWork, UnitOfWorkFactory
from gateway.services.accounts.authenticator import Authenticator
from gateway.services.accounts.environment_keys import EnvironmentKeys, parse_keys
from gateway.services.accounts.notices import AccountNotifier
from gateway.services.accounts.password_reset import PasswordResetService
from gateway.services.accounts.revocation import RevocationService
from gateway.services.accounts.throttle import AccountThrottle
from gateway.services.chat.conversation_queue import ConversationQueue
from gateway.services.execution.concurrency import ConcurrencyLimiter
from gateway.services.execution.turn_tasks import TurnTaskRegistry
from gateway.services.execution.worker_bus import WorkerBus
from gateway.services.generation.image_library import ImageLibrary
from gateway.services.idempotency.client_retries import ClientRetryJoiner
from gateway.services.idempotency.cross_worker_stream import CrossWorkerStream
from gateway.services.idempotency.service import IdempotencyService
from gateway.services.operations.maintenance import MaintenanceJob
from gateway.services.streams.event_log_writer import EventLogWriter
from gateway.services.streams.orphan_recovery import OrphanedTurnRecovery
from gateway.services.streams.partial_answers import PartialAnswerWriter
from gateway.services.usage.ledger import Ledger
from gateway.services.usage.rollup import RollupJob


@dataclass(frozen=True, slots=True)
class Stores:
    """Connections to databases and files."""

    engine: AsyncEngine
    uow: UnitOfWorkFactory
    valkey: ValkeyClient
    pubsub: PubSub
    blobs: BlobStore


@dataclass(frozen=True, slots=True)
class SharedModels:
    """The HTTP client of all providers, and the models that the gateway runs itself."""

    http: httpx.AsyncClient
    embedder: WordLlamaEmbedder
    guards: GuardrailPipeline


@dataclass(frozen=True, slots=True)
class SharedExecution:
    """Running turns, and what makes them durable."""

    tasks: TurnTaskRegistry
    events: EventLog
    bus: WorkerBus
    running_turns: RunningTurnRepository
    partial_answers: PartialAnswerWriter
    conversation_queue: ConversationQueue
    idempotency: IdempotencyService
    client_retries: ClientRetryJoiner
    turns: TurnRepository
    ledger: Ledger


@dataclass(frozen=True, slots=True)
class SharedAccounts:
    """Authentication and limits of accounts."""

    limiter: RateLimiter
    cache: AuthCache
    tokens: AccessTokens
    passwords: PasswordHasher
    revocation: RevocationService
    throttle: AccountThrottle
    password_resets: PasswordResetService
    notices: AccountNotifier
    environment_keys: EnvironmentKeys
    authenticator: Authenticator


@dataclass(frozen=True, slots=True)
class SharedResources:
    """Created once per process.

    `reconfigure` applies a new configuration to the parts that depend on it.
    """

    settings: Settings
    stores: Stores
    models: SharedModels
    execution: SharedExecution
    accounts: SharedAccounts

    def reconfigure(self, catalog: Catalog) -> None:
        """Apply the limits of `catalog`; existing reservations are settled as they are."""
        self.accounts.limiter.reconfigure(_rate_limits(catalog))
        self.execution.ledger.reconfigure(catalog)
        self.execution.tasks.limiter.reconfigure(catalog.concurrency, _concurrent_turns(catalog))


@asynccontextmanager
async def open_shared_resources(settings: Settings, catalog: Catalog) -> AsyncIterator[SharedResources]:
    """Open the shared resources.

    They are closed in reverse order, also if opening fails halfway.
    """
    async with AsyncExitStack() as stack:
        stores = _open_stores(settings, stack)
        models = await _open_models(stack)
        turns = _open_turns(settings, catalog, stores, stack)
        accounts = _open_accounts(settings, catalog, stores, turns.tasks, stack)
        _start_maintenance(settings, catalog, stores, turns, stack)
        await stack.enter_async_context(accounts.revocation.running())
        await stack.enter_async_context(stores.pubsub.running())
        yield SharedResources(settings, stores, models, turns, accounts)


def _open_stores(settings: Settings, stack: AsyncExitStack) -> Stores:
    engine = create_engine(settings.database_url.get_secret_value(), settings.database_pool_size)
    stack.push_async_callback(engine.dispose)
    valkey = ValkeyClient(settings.redis_url.get_secret_value())
    stack.push_async_callback(valkey.aclose)
    uow = partial(UnitOfWork, create_session_factory(engine))
    return Stores(engine, uow, valkey, PubSub(valkey), BlobStore(settings.data_dir / "media"))


async def _open_models(stack: AsyncExitStack) -> SharedModels:
    http = await stack.enter_async_context(upstream_client())
    embedder = WordLlamaEmbedder.load()
    guards = GuardrailPipeline.from_names(*INPUT_GUARDS, embed=embedder.embed)
    stack.push_async_callback(guards.aclose)
    # Loading the guard's model takes half a second: neither the start nor the first turn waits for it.
    run_until_closed(stack, guards.warm_up())
    return SharedModels(http, embedder, guards)


def _open_turns(
    settings: Settings, catalog: Catalog, stores: Stores, stack: AsyncExitStack
) -> SharedExecution:
    lease = settings.turn_lease_seconds
    limiter = ConcurrencyLimiter(catalog.concurrency, _concurrent_turns(catalog))
    tasks = TurnTaskRegistry(settings.shutdown_grace_seconds, limiter)
    events, bus = EventLog(stores.valkey), WorkerBus(stores.pubsub)
    recorder = EventLogWriter(tasks, events)
    stack.push_async_callback(recorder.aclose)
    run_until_closed(stack, recorder.run())
    running_turns, repository = RunningTurnRepository(stores.engine), TurnRepository(stores.engine)
    partial_answers = PartialAnswerWriter(tasks, running_turns, bus)
    run_until_closed(stack, partial_answers.run())
    keys = IdempotencyRepository(stores.engine)
    cipher = ResponseCipher(settings.jwt_secret.get_secret_value())
    idempotency = IdempotencyService(keys, cipher, tasks, CrossWorkerStream(events, bus), lease_seconds=lease)
    stack.push_async_callback(idempotency.aclose)
    client_retries = ClientRetryJoiner(idempotency, bus)
    stack.push_async_callback(client_retries.aclose)
    return SharedExecution(
        tasks=tasks,
        events=events,
        bus=bus,
        running_turns=running_turns,
        partial_answers=partial_answers,
        conversation_queue=ConversationQueue(WaitingTurnRepository(stores.engine), tasks, bus),
        idempotency=idempotency,
        client_retries=client_retries,
        turns=repository,
        ledger=Ledger(repository, catalog, lease_seconds=lease),
    )


def _open_accounts(
    settings: Settings, catalog: Catalog, stores: Stores, tasks: TurnTaskRegistry, stack: AsyncExitStack
) -> SharedAccounts:
    uow, secret = stores.uow, settings.jwt_secret.get_secret_value()
    limiter = RateLimiter(stores.valkey, _rate_limits(catalog))
    cache = AuthCache(stores.valkey, limiter)
    tokens = AccessTokens(secret, settings.access_token_ttl_seconds)
    passwords = PasswordHasher()
    revocation = RevocationService(tasks, cache, stores.pubsub, uow)
    throttle = AccountThrottle(FailedAttemptStore(stores.valkey), secret)
    mailer = create_mailer(settings)
    resets = PasswordResetService(
        uow, passwords, revocation, throttle, mailer, reset_url=settings.password_reset_url
    )
    stack.push_async_callback(resets.aclose)
    notices = AccountNotifier(mailer)
    stack.push_async_callback(notices.aclose)
    keys = parse_keys(settings.gateway_api_keys.get_secret_value())
    environment_keys = EnvironmentKeys(
        keys,
        uow,
        cache,
        tier=catalog.cli_admin_tier,
        requests_per_minute=catalog.limits.environment_key_requests_per_minute,
    )
    authenticator = Authenticator(uow, cache, tokens, limiter, environment_keys)
    stack.push_async_callback(authenticator.aclose)
    return SharedAccounts(
        limiter=limiter,
        cache=cache,
        tokens=tokens,
        passwords=passwords,
        revocation=revocation,
        throttle=throttle,
        password_resets=resets,
        notices=notices,
        environment_keys=environment_keys,
        authenticator=authenticator,
    )


def _start_maintenance(
    settings: Settings, catalog: Catalog, stores: Stores, turns: SharedExecution, stack: AsyncExitStack
) -> None:
    """Run the periodic jobs until the stack is closed."""
    images = ImageLibrary(stores.uow, stores.blobs, max_bytes=catalog.media.max_bytes)
    maintenance = MaintenanceJob(
        stores.uow,
        turns.turns,
        turns.ledger,
        OrphanedTurnRecovery(turns.running_turns, turns.events),
        turns.tasks,
        [images.delete_orphans, turns.idempotency.delete_expired],
        interval=settings.turn_lease_seconds / 4,
    )
    run_until_closed(stack, maintenance.run())
    run_until_closed(stack, RollupJob(stores.uow).run())


def run_until_closed(stack: AsyncExitStack, work: Any) -> None:
    """Run a coroutine until the stack is closed, then cancel it."""
    stack.push_async_callback(cancel_and_wait, asyncio.create_task(work))


def _rate_limits(catalog: Catalog) -> dict[str, MinuteLimits]:
    return {
        name: MinuteLimits(tier.requests_per_minute, tier.reads_per_minute)
        for name, tier in catalog.tiers.items()
    }


def _concurrent_turns(catalog: Catalog) -> dict[str, int | None]:
    return {name: tier.concurrent_turns for name, tier in catalog.tiers.items()}
