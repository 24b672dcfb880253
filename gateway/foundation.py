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
class Foundation:
    """Made once; what of it goes by the configuration is told of another one by `adopt`."""

    settings: Settings
    engine: AsyncEngine
    valkey: ValkeyClient
    http: httpx.AsyncClient
    embedder: WordLlamaEmbedder
    guards: GuardrailPipeline
    uow: Callable[[], UnitOfWork]
    limiter: RateLimiter
    cache: AuthCache
    tokens: AccessTokens
    passwords: PasswordHasher
    tasks: TurnTasks
    events: EventLog
    idempotency: Idempotency
    rejoining: Rejoining
    endings: Endings
    keeper: Keeper
    waiting: Waiting
    throttle: Throttle
    password_resets: PasswordResetService
    environment_keys: EnvironmentKeys
    authenticator: Authenticator
    ledger: Ledger
    blobs: BlobStore

    def adopt(self, catalog: Catalog) -> None:
        """From now on limits are those of `catalog`; reservations that are held are settled all the same."""
        self.limiter.adopt(_requests_per_minute(catalog))
        self.ledger.adopt(catalog)
        self.tasks.slots.adopt(catalog.concurrency, _turns_at_once(catalog))


@asynccontextmanager
async def open_foundation(settings: Settings, catalog: Catalog) -> AsyncIterator[Foundation]:
    """Make it; what was opened is closed in reverse, also where opening fails half-way."""
    async with AsyncExitStack() as stack:
        engine = create_engine(settings.database_url.get_secret_value(), settings.database_pool_size)
        stack.push_async_callback(engine.dispose)
        valkey = ValkeyClient(settings.redis_url.get_secret_value())
        stack.push_async_callback(valkey.aclose)
        http = await stack.enter_async_context(upstream_client())
        embedder = WordLlamaEmbedder.load()
        guards = GuardrailPipeline.of("injection", "unsafe", embed=embedder.embed)
        stack.push_async_callback(guards.aclose)
        # Loading the guard's model takes half a second: not at the start, and not out of the first turn.
        in_background(stack, guards.warm_up())
        uow = partial(UnitOfWork, create_session_factory(engine))
        limiter = RateLimiter(valkey, _requests_per_minute(catalog))
        cache = AuthCache(valkey, limiter)
        secret = settings.jwt_secret.get_secret_value()
        tokens = AccessTokens(secret, settings.access_token_ttl_seconds)
        passwords = PasswordHasher()
        slots = Slots(catalog.concurrency, _turns_at_once(catalog))
        tasks = TurnTasks(settings.shutdown_grace_seconds, slots)
        endings = Endings(tasks, cache, valkey, uow)
        events = EventLog(valkey)
        recorder = Recorder(tasks, events)
        stack.push_async_callback(recorder.aclose)
        in_background(stack, recorder.run())
        running, bus = RunningTurnRepository(engine), Bus(valkey)
        keeper = Keeper(tasks, running, bus)
        in_background(stack, keeper.run())
        lease = settings.turn_lease_seconds
        relay = Relay(events, bus)
        idempotency = Idempotency(
            IdempotencyRepository(engine), Sealer(secret), tasks, relay, lease_seconds=lease
        )
        stack.push_async_callback(idempotency.aclose)
        rejoining = Rejoining(idempotency, bus)
        stack.push_async_callback(rejoining.aclose)
        waiting = Waiting(WaitingTurnRepository(engine), tasks, bus)
        throttle = Throttle(Attempts(valkey), secret)
        resets = PasswordResetService(
            uow, passwords, endings, throttle, mailer_of(settings), page=settings.password_reset_url
        )
        stack.push_async_callback(resets.aclose)
        environment_keys = EnvironmentKeys(
            parse_keys(settings.gateway_api_keys.get_secret_value()),
            uow,
            cache,
            tier=catalog.operator_tier,
        )
        authenticator = Authenticator(uow, cache, tokens, limiter, environment_keys)
        stack.push_async_callback(authenticator.aclose)
        turns = TurnRepository(engine)
        ledger = Ledger(turns, catalog, lease_seconds=lease)
        blobs = BlobStore(settings.data_dir / "media")
        tidying = ImageService(uow, blobs, most_bytes=catalog.media.max_bytes).tidy
        housekeeping = Housekeeping(
            uow,
            turns,
            ledger,
            Rescue(running, events),
            tasks,
            [tidying, idempotency.tidy],
            interval=lease / 4,
        )
        in_background(stack, housekeeping.run())
        in_background(stack, RollUp(uow).run())
        await stack.enter_async_context(endings.watching())
        await stack.enter_async_context(bus.watching())
        yield Foundation(
            settings=settings,
            engine=engine,
            valkey=valkey,
            http=http,
            embedder=embedder,
            guards=guards,
            uow=uow,
            limiter=limiter,
            cache=cache,
            tokens=tokens,
            passwords=passwords,
            tasks=tasks,
            events=events,
            idempotency=idempotency,
            rejoining=rejoining,
            endings=endings,
            keeper=keeper,
            waiting=waiting,
            throttle=throttle,
            password_resets=resets,
            environment_keys=environment_keys,
            authenticator=authenticator,
            ledger=ledger,
            blobs=blobs,
        )


def in_background(stack: AsyncExitStack, work: Any) -> None:
    """Run a coroutine until the stack is closed."""
    stack.push_async_callback(_end, asyncio.create_task(work))


async def _end(task: asyncio.Task[Any]) -> None:
    task.cancel()
    await asyncio.wait({task})


def _requests_per_minute(catalog: Catalog) -> dict[str, int | None]:
    return {name: tier.requests_per_minute for name, tier in catalog.tiers.items()}


def _turns_at_once(catalog: Catalog) -> dict[str, int | None]:
    return {name: tier.concurrent_turns for name, tier in catalog.tiers.items()}
