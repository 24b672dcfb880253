"""The composition root: all that goes by the provider configuration is made here, anew for each one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.agent.context import AgentParts
from gateway.agent.intent.classifier import IntentClassifier
from gateway.agent.recovery.upstreams import Upstreams
from gateway.agent.runner import AgentRunner
from gateway.cache.breaker_store import BreakerStore
from gateway.cache.client import ValkeyClient
from gateway.cache.probe import ValkeyState
from gateway.cache.response_cache import ResponseCache
from gateway.core.in_use import InUse
from gateway.core.settings import Settings
from gateway.core.tokens import RefreshTokens
from gateway.domain.catalog import Catalog
from gateway.domain.same_question import SameQuestion
from gateway.foundation import Foundation, open_foundation
from gateway.providers.chat.base import ChatProvider
from gateway.providers.chat.registry import build_providers
from gateway.providers.embedding.registry import build_embedding_providers
from gateway.providers.embedding.wordllama import WordLlamaEmbedder
from gateway.providers.image.registry import build_image_providers
from gateway.repositories.response_embedding import ResponseEmbeddingRepository
from gateway.services.account_data import AccountDataService
from gateway.services.admin import AdminService
from gateway.services.api_key import ApiKeyService
from gateway.services.artist import Artist, draws
from gateway.services.auth import AuthService
from gateway.services.authenticator import Authenticator
from gateway.services.breakers import BreakerService
from gateway.services.caching import CachedRunner
from gateway.services.chat import ChatService
from gateway.services.configuration import load_catalog, require_models
from gateway.services.conversation import ConversationService
from gateway.services.embeddings import EmbeddingService
from gateway.services.endings import Endings
from gateway.services.environment_keys import EnvironmentKeys
from gateway.services.flights import Flights
from gateway.services.generate import GenerateService
from gateway.services.idempotency import Idempotency
from gateway.services.images import ImageService
from gateway.services.keeping import Keeper
from gateway.services.media import MediaService
from gateway.services.model_catalog import ModelCatalogService
from gateway.services.password_reset import PasswordResetService
from gateway.services.rejoining import Rejoining
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
from gateway.tools.registry import ToolRegistry


@dataclass(frozen=True, slots=True)
class Container:
    """What routers reach through `get_container`: all that one configuration makes, on a shared foundation.

    Another configuration is another container. `in_use` counts the requests that hold this one.
    """

    settings: Settings
    catalog: Catalog
    engine: AsyncEngine
    valkey: ValkeyClient
    providers: dict[str, ChatProvider]
    tasks: TurnTasks
    authenticator: Authenticator
    environment_keys: EnvironmentKeys
    endings: Endings
    keeper: Keeper
    idempotency: Idempotency
    rejoining: Rejoining
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
    in_use: InUse

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

    async def valkey_state(self) -> ValkeyState:
        """Whether Valkey does what is asked of it; never raises."""
        return await self.valkey.state()

    async def valkey_ready(self) -> bool:
        """Whether Valkey answers, without errors; never raises."""
        return await self.valkey_state() == "up"


@asynccontextmanager
async def open_container(settings: Settings) -> AsyncIterator[Container]:
    """Make everything, for a configuration that stays; see `reloading` for one that changes.

    Raises:
        ConfigError, ProviderMisconfigured, ToolConfigurationError: the provider configuration is wrong.
    """
    catalog = load_catalog(settings.provider_config)
    async with open_foundation(settings, catalog) as foundation, AsyncExitStack() as stack:
        yield await make_container(foundation, catalog, stack)


async def make_container(foundation: Foundation, catalog: Catalog, stack: AsyncExitStack) -> Container:
    """All that `catalog` makes; what it opens is closed by `stack`.

    Raises:
        ConfigError, ProviderMisconfigured, ToolConfigurationError: something of it cannot be made.
    """
    settings = foundation.settings
    roles = RoleBook.load(catalog.roles, settings.provider_config.parent / "prompts")
    providers = build_providers(catalog, foundation.models.http, settings.local_model_url)
    for provider in providers.values():
        stack.push_async_callback(provider.aclose)
    tools = ToolRegistry(catalog.tools, without=() if draws(catalog, providers) else ("image",))
    stack.push_async_callback(tools.aclose)
    parts = AgentParts(
        catalog=catalog,
        providers=providers,
        # Half a second with exemplars of one's own: other turns run meanwhile.
        classifier=await asyncio.to_thread(IntentClassifier.load, foundation.models.embedder, catalog.intent),
        guards=foundation.models.guards,
        tools=tools,
        upstreams=Upstreams(
            catalog, providers, BreakerStore(foundation.stores.valkey, catalog.circuit_breaker)
        ),
    )
    if settings.local_model_url:
        # The small model was started because nobody else answered; a check at once says who does by now.
        parts.upstreams.away.suspect(*(p.name for p in providers.values() if p.type not in ("local", "mock")))
    semantic = await _semantic(catalog, foundation.stores.engine, foundation.models.embedder)
    if semantic is not None:
        stack.push_async_callback(semantic.aclose)
    # Last, so that what else is wrong is named first.
    require_models(catalog, settings.provider_config)
    container = _wire(foundation, parts, roles, semantic, stack)
    tools.open()
    await stack.enter_async_context(parts.upstreams.watching())
    return container


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


def _wire(
    shared: Foundation,
    parts: AgentParts,
    roles: RoleBook,
    semantic: SemanticAnswers | None,
    stack: AsyncExitStack,
) -> Container:
    settings, catalog, uow = shared.settings, parts.catalog, shared.stores.uow
    accounts, turns = shared.accounts, shared.turns
    responses = ResponseCache(shared.stores.valkey, catalog.cache.exact)
    flights = Flights(responses)
    stack.push_async_callback(flights.aclose)
    titles = Titles(parts, uow, turns.ledger)
    stack.push_async_callback(titles.aclose)
    images = ImageService(uow, shared.stores.blobs, most_bytes=catalog.media.max_bytes)
    users = UserService(
        uow,
        accounts.passwords,
        accounts.endings,
        accounts.throttle,
        accounts.notices,
        operator_tier=catalog.operator_tier,
    )
    media = MediaService(
        catalog,
        build_image_providers(catalog, shared.models.http, settings.provider_config.parent),
        parts.upstreams,
        turns.ledger,
        turns.tasks,
        images,
    )
    runner = CachedRunner(AgentRunner(parts), flights, semantic)
    chat = ChatService(runner, turns.ledger, turns.tasks, titles, turns.waiting, Artist(media))
    return Container(
        settings=settings,
        catalog=catalog,
        engine=shared.stores.engine,
        valkey=shared.stores.valkey,
        providers=dict(parts.providers),
        tasks=turns.tasks,
        authenticator=accounts.authenticator,
        environment_keys=accounts.environment_keys,
        endings=accounts.endings,
        keeper=turns.keeper,
        idempotency=turns.idempotency,
        rejoining=turns.rejoining,
        password_resets=accounts.password_resets,
        sessions=SessionService(uow, accounts.endings),
        throttle=accounts.throttle,
        auth=_auth(shared, catalog),
        users=users,
        api_keys=ApiKeyService(uow, accounts.cache, catalog),
        conversations=ConversationService(
            uow, catalog.names(), lambda tier: catalog.tier_of(tier).storage_bytes
        ),
        chat=chat,
        resumption=Resumption(uow, turns.tasks, turns.events),
        generate=GenerateService(catalog, roles, chat),
        roles=roles,
        responses=ResponseService(uow),
        embeddings=EmbeddingService(
            catalog,
            build_embedding_providers(catalog, shared.models.http),
            parts.upstreams,
            turns.ledger,
            turns.tasks,
        ),
        media=media,
        images=images,
        models=ModelCatalogService(parts),
        breakers=BreakerService(parts),
        usage=UsageService(uow, catalog),
        usage_csv=UsageCsv(uow),
        admin=AdminService(uow, accounts.cache, accounts.endings, catalog, parts.providers, parts.upstreams),
        account_data=AccountDataService(
            uow,
            accounts.cache,
            responses,
            turns.events,
            accounts.endings,
            users.confirm,
            images,
            accounts.notices,
        ),
        in_use=InUse(),
    )


def _auth(shared: Foundation, catalog: Catalog) -> AuthService:
    settings, accounts = shared.settings, shared.accounts
    return AuthService(
        shared.stores.uow,
        accounts.endings,
        accounts.tokens,
        RefreshTokens(settings.jwt_secret.get_secret_value()),
        accounts.passwords,
        accounts.throttle,
        refresh_ttl_seconds=settings.refresh_token_ttl_seconds,
        default_tier=catalog.newcomer_tier,
        sign_up_open=settings.sign_up_open,
    )
