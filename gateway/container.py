"""The composition root: everything live is made here, once, and closed here."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import httpx
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.agent.context import AgentParts
from gateway.agent.intent.classifier import IntentClassifier
from gateway.agent.recovery.upstreams import Upstreams
from gateway.agent.runner import AgentRunner
from gateway.cache.attempts import Attempts
from gateway.cache.auth_cache import AuthCache
from gateway.cache.breaker_store import BreakerStore
from gateway.cache.client import ValkeyClient
from gateway.cache.event_log import EventLog
from gateway.cache.rate_limit import RateLimiter
from gateway.cache.response_cache import ResponseCache
from gateway.core.blob_store import BlobStore
from gateway.core.database import create_engine, create_session_factory
from gateway.core.mailer import mailer_of
from gateway.core.passwords import PasswordHasher
from gateway.core.settings import Settings
from gateway.core.tokens import AccessTokens, RefreshTokens
from gateway.domain.catalog import Catalog
from gateway.domain.same_question import SameQuestion
from gateway.guardrails.pipeline import GuardrailPipeline
from gateway.providers.chat.base import ChatProvider
from gateway.providers.chat.http_client import upstream_client
from gateway.providers.chat.registry import build_providers
from gateway.providers.embedding.registry import build_embedding_providers
from gateway.providers.embedding.wordllama import WordLlamaEmbedder
from gateway.providers.image.registry import build_image_providers
from gateway.repositories.response_embedding import ResponseEmbeddingRepository
from gateway.repositories.turn import TurnRepository
from gateway.repositories.unit_of_work import UnitOfWork
from gateway.services.account_data import AccountDataService
from gateway.services.admin import AdminService
from gateway.services.api_key import ApiKeyService
from gateway.services.auth import AuthService
from gateway.services.authenticator import Authenticator
from gateway.services.breakers import BreakerService
from gateway.services.caching import CachedRunner
from gateway.services.chat import ChatService
from gateway.services.configuration import load_catalog
from gateway.services.conversation import ConversationService
from gateway.services.embeddings import EmbeddingService
from gateway.services.endings import Endings
from gateway.services.environment_keys import EnvironmentKeys, parse_keys
from gateway.services.flights import Flights
from gateway.services.generate import GenerateService
from gateway.services.housekeeping import Housekeeping
from gateway.services.images import ImageService
from gateway.services.ledger import Ledger
from gateway.services.media import MediaService
from gateway.services.model_catalog import ModelCatalogService
from gateway.services.password_reset import PasswordResetService
from gateway.services.recording import Recorder
from gateway.services.responses import ResponseService
from gateway.services.resumption import Resumption
from gateway.services.roles import RoleBook
from gateway.services.semantic import SemanticAnswers
from gateway.services.session import SessionService
from gateway.services.throttle import Throttle
from gateway.services.titles import Titles
from gateway.services.turns import TurnTasks
from gateway.services.usage import UsageService
from gateway.services.usage_csv import UsageCsv
from gateway.services.user import UserService
from gateway.services.vitals import Vitals
from gateway.tools.registry import ToolRegistry


@dataclass(frozen=True, slots=True)
class Container:
    """What routers reach through `request.app.state.container`."""

    settings: Settings
    catalog: Catalog
    engine: AsyncEngine
    valkey: ValkeyClient
    providers: dict[str, ChatProvider]
    tasks: TurnTasks
    authenticator: Authenticator
    environment_keys: EnvironmentKeys
    endings: Endings
    auth: AuthService
    password_resets: PasswordResetService
    sessions: SessionService
    throttle: Throttle
    users: UserService
    api_keys: ApiKeyService
    conversations: ConversationService
    chat: ChatService
    resumption: Resumption
    generate: GenerateService
    roles: RoleBook
    responses: ResponseService
    embeddings: EmbeddingService
    media: MediaService
    images: ImageService
    models: ModelCatalogService
    breakers: BreakerService
    usage: UsageService
    usage_csv: UsageCsv
    admin: AdminService
    account_data: AccountDataService

    @property
    def draining(self) -> bool:
        """Whether this worker is on its way out and takes no new turns."""
        return self.tasks.draining

    async def database_ready(self) -> bool:
        """Whether PostgreSQL answers; never raises."""
        try:
            async with self.engine.connect() as connection:
                await connection.execute(text("SELECT 1"))
        except Exception:  # noqa: BLE001 - whatever stands in the way, the answer is no
            return False
        return True

    async def valkey_ready(self) -> bool:
        """Whether Valkey answers; never raises."""
        return await self.valkey.ping()


@asynccontextmanager
async def open_container(settings: Settings) -> AsyncIterator[Container]:
    """Make everything; what was opened is closed in reverse, also where opening fails half-way.

    Raises:
        ConfigError, ProviderMisconfigured, ToolConfigurationError: the provider configuration is wrong.
    """
    catalog = load_catalog(settings.provider_config)
    async with AsyncExitStack() as stack:
        engine = create_engine(settings.database_url.get_secret_value(), settings.database_pool_size)
        stack.push_async_callback(engine.dispose)
        valkey = ValkeyClient(settings.redis_url.get_secret_value())
        stack.push_async_callback(valkey.aclose)
        http = await stack.enter_async_context(upstream_client())
        providers = build_providers(catalog, http, settings.local_model_url)
        for provider in providers.values():
            stack.push_async_callback(provider.aclose)
        embedder = WordLlamaEmbedder.load()
        guards = GuardrailPipeline.of("injection", "unsafe", embed=embedder.embed)
        stack.push_async_callback(guards.aclose)
        tools = ToolRegistry(catalog.tools)
        stack.push_async_callback(tools.aclose)
        tools.open()
        parts = AgentParts(
            catalog=catalog,
            providers=providers,
            classifier=IntentClassifier.load(embedder, catalog.intent),
            guards=guards,
            tools=tools,
            upstreams=Upstreams(catalog, providers, BreakerStore(valkey, catalog.circuit_breaker)),
        )
        await stack.enter_async_context(parts.upstreams.watching())
        # Loading the guard's model takes half a second: not at the start, and not out of the first turn.
        warming = asyncio.create_task(guards.warm_up())
        stack.push_async_callback(_end, warming)
        semantic = await _semantic(catalog, engine, embedder)
        if semantic is not None:
            stack.push_async_callback(semantic.aclose)
        container = _wire(settings, engine, valkey, parts, stack, semantic, http)
        await stack.enter_async_context(container.endings.watching())
        vitals = Vitals(
            engine,
            container.tasks,
            container.breakers.all,
            database=container.database_ready,
            valkey=container.valkey_ready,
        )
        stack.push_async_callback(_end, asyncio.create_task(vitals.run()))
        stack.push_async_callback(container.tasks.drained)
        yield container


async def _semantic(
    catalog: Catalog, engine: AsyncEngine, embedder: WordLlamaEmbedder
) -> SemanticAnswers | None:
    """The semantic cache where it is wanted; without pgvector it stays, finds nothing, and has said so."""
    if not catalog.cache.semantic.enabled:
        return None
    semantic = SemanticAnswers(
        ResponseEmbeddingRepository(engine),
        embedder,
        SameQuestion.load(embedder.token_vectors),
        catalog.cache.semantic,
    )
    await semantic.open()
    return semantic


async def _end(task: asyncio.Task[Any]) -> None:
    task.cancel()
    await asyncio.wait({task})


def _wire(
    settings: Settings,
    engine: AsyncEngine,
    valkey: ValkeyClient,
    parts: AgentParts,
    stack: AsyncExitStack,
    semantic: SemanticAnswers | None,
    http: httpx.AsyncClient,
) -> Container:
    uow = partial(UnitOfWork, create_session_factory(engine))
    limiter = RateLimiter(
        valkey, {name: tier.requests_per_minute for name, tier in parts.catalog.tiers.items()}
    )
    cache = AuthCache(valkey, limiter)
    secret = settings.jwt_secret.get_secret_value()
    tokens = AccessTokens(secret, settings.access_token_ttl_seconds)
    passwords = PasswordHasher()
    turns = TurnRepository(engine)
    tasks = TurnTasks()
    endings = Endings(tasks, cache, valkey, uow)
    events = EventLog(valkey)
    throttle = Throttle(Attempts(valkey), secret)
    resets = PasswordResetService(
        uow, passwords, endings, throttle, mailer_of(settings), page=settings.password_reset_url
    )
    stack.push_async_callback(resets.aclose)
    environment_keys = EnvironmentKeys(
        parse_keys(settings.gateway_api_keys.get_secret_value()),
        uow,
        cache,
        tier=parts.catalog.operator_tier,
    )
    authenticator = Authenticator(uow, cache, tokens, limiter, environment_keys)
    stack.push_async_callback(authenticator.aclose)
    ledger = Ledger(turns, parts.catalog)
    responses = ResponseCache(valkey, parts.catalog.cache.exact)
    flights = Flights(responses)
    stack.push_async_callback(flights.aclose)
    titles = Titles(parts, uow, ledger)
    stack.push_async_callback(titles.aclose)
    images = ImageService(
        uow, BlobStore(settings.data_dir / "media"), most_bytes=parts.catalog.media.max_bytes
    )
    recorder = Recorder(tasks, events)
    stack.push_async_callback(recorder.aclose)
    stack.push_async_callback(_end, asyncio.create_task(recorder.run()))
    rounds = asyncio.create_task(Housekeeping(uow, turns, ledger, [images.tidy]).run())
    stack.push_async_callback(_end, rounds)
    users = UserService(uow, passwords, endings, throttle, operator_tier=parts.catalog.operator_tier)
    beside = settings.provider_config.parent
    chat = ChatService(CachedRunner(AgentRunner(parts), flights, semantic), ledger, tasks, titles)
    roles = RoleBook.load(parts.catalog.roles, beside / "prompts")
    return Container(
        settings=settings,
        catalog=parts.catalog,
        engine=engine,
        valkey=valkey,
        providers=dict(parts.providers),
        tasks=tasks,
        authenticator=authenticator,
        environment_keys=environment_keys,
        endings=endings,
        password_resets=resets,
        sessions=SessionService(uow, endings),
        throttle=throttle,
        auth=AuthService(
            uow,
            endings,
            tokens,
            RefreshTokens(secret),
            passwords,
            throttle,
            refresh_ttl_seconds=settings.refresh_token_ttl_seconds,
            default_tier=parts.catalog.newcomer_tier,
        ),
        users=users,
        api_keys=ApiKeyService(uow, cache, parts.catalog),
        conversations=ConversationService(uow, parts.catalog.names()),
        chat=chat,
        resumption=Resumption(uow, tasks, events),
        generate=GenerateService(parts.catalog, roles, chat),
        roles=roles,
        responses=ResponseService(uow),
        embeddings=EmbeddingService(
            parts.catalog, build_embedding_providers(parts.catalog, http), parts.upstreams, ledger, tasks
        ),
        media=MediaService(
            parts.catalog,
            build_image_providers(parts.catalog, http, beside),
            parts.upstreams,
            ledger,
            tasks,
            images,
        ),
        images=images,
        models=ModelCatalogService(parts),
        breakers=BreakerService(parts),
        usage=UsageService(uow, parts.catalog),
        usage_csv=UsageCsv(uow),
        admin=AdminService(uow, cache, endings, parts.catalog, parts.providers),
        account_data=AccountDataService(uow, cache, responses, endings, users.confirm, images),
    )
