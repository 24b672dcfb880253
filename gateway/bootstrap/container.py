"""The composition root: all that goes by the provider configuration is made here, anew for each one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.agent.context import AgentResources
from gateway.agent.intent.classifier import IntentClassifier
from gateway.agent.routing.upstream_pool import UpstreamPool
from gateway.agent.runner import AgentRunner
from gateway.bootstrap.shared import SharedResources, open_shared_resources
from gateway.cache.circuit_breakers import CircuitBreakerStore
from gateway.cache.client import ValkeyClient
from gateway.cache.health_check import ValkeyState
from gateway.cache.response_cache import ResponseCache
from gateway.core.ref_count import RefCount
from gateway.core.security.tokens import RefreshTokens
from gateway.core.settings import Settings
from gateway.domain.config.catalog import Catalog
from gateway.providers.base import Provider
from gateway.providers.local.wordllama import WordLlamaEmbedder
from gateway.providers.registry import PROVIDER_TYPES, Providers, build_providers
from gateway.question_match import QuestionMatcher
from gateway.repositories.response_embeddings import ResponseEmbeddingRepository
from gateway.services.accounts.api_keys import ApiKeyService
from gateway.services.accounts.auth import AuthService
from gateway.services.accounts.authenticator import Authenticator
from gateway.services.accounts.data_export import AccountDataService
from gateway.services.accounts.environment_keys import EnvironmentKeys
from gateway.services.accounts.password_reset import PasswordResetService
from gateway.services.accounts.revocation import RevocationService
from gateway.services.accounts.sessions import SessionService
from gateway.services.accounts.throttle import AccountThrottle
from gateway.services.accounts.users import UserService
from gateway.services.chat.conversations import ConversationService
from gateway.services.chat.image_tool import ImageToolBinding, images_available
from gateway.services.chat.service import ChatService
from gateway.services.chat.stored_responses import StoredResponseService
from gateway.services.chat.titles import TitleGenerator
from gateway.services.execution.turn_tasks import TurnTaskRegistry
from gateway.services.generation.embeddings import EmbeddingService
from gateway.services.generation.image_library import ImageLibrary
from gateway.services.generation.images import ImageGenerationService
from gateway.services.generation.metered_call import MeteredCalls
from gateway.services.idempotency.client_retries import ClientRetryJoiner
from gateway.services.idempotency.service import IdempotencyService
from gateway.services.operations.admin import AdminService
from gateway.services.operations.circuit_breakers import CircuitBreakerService
from gateway.services.operations.config_file import load_catalog, require_models
from gateway.services.operations.model_catalog import ModelCatalogService
from gateway.services.response_cache.cached_runner import CachingRunner
from gateway.services.response_cache.semantic import SemanticCache
from gateway.services.response_cache.single_flight import SingleFlight
from gateway.services.roles.generate import GenerateService
from gateway.services.roles.registry import RoleRegistry
from gateway.services.streams.partial_answers import PartialAnswerWriter
from gateway.services.streams.resumption import StreamResumption
from gateway.services.usage.csv_export import UsageCsvExporter
from gateway.services.usage.reports import UsageReports
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
    providers: Mapping[str, Provider]
    tasks: TurnTaskRegistry
    authenticator: Authenticator
    environment_keys: EnvironmentKeys
    revocation: RevocationService
    partial_answers: PartialAnswerWriter
    idempotency: IdempotencyService
    client_retries: ClientRetryJoiner
    auth: AuthService
    password_resets: PasswordResetService
    sessions: SessionService
    throttle: AccountThrottle
    users: UserService
    api_keys: ApiKeyService
    conversations: ConversationService
    chat: ChatService
    resumption: StreamResumption
    generate: GenerateService
    roles: RoleRegistry
    responses: StoredResponseService
    embeddings: EmbeddingService
    media: ImageGenerationService
    images: ImageLibrary
    models: ModelCatalogService
    circuit_breakers: CircuitBreakerService
    usage: UsageReports
    usage_csv: UsageCsvExporter
    admin: AdminService
    account_data: AccountDataService
    references: RefCount

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
        return await self.valkey.check_state()

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
    async with open_shared_resources(settings, catalog) as shared, AsyncExitStack() as stack:
        yield await make_container(shared, catalog, stack)


async def make_container(shared: SharedResources, catalog: Catalog, stack: AsyncExitStack) -> Container:
    """All that `catalog` makes; what it opens is closed by `stack`.

    Raises:
        ConfigError, ProviderMisconfigured, ToolConfigurationError: something of it cannot be made.
    """
    settings = shared.settings
    roles = RoleRegistry.load(catalog.roles, settings.provider_config.parent / "prompts")
    providers = build_providers(
        catalog,
        shared.models.http,
        local_model_url=settings.local_model_url,
        config_folder=settings.provider_config.parent,
    )
    stack.push_async_callback(providers.aclose)
    tools = ToolRegistry(
        catalog.tools, excluded=() if images_available(catalog, providers.all) else ("image",)
    )
    stack.push_async_callback(tools.aclose)
    parts = AgentResources(
        catalog=catalog,
        providers=providers.all,
        # Half a second with exemplars of one's own: other turns run meanwhile.
        classifier=await asyncio.to_thread(IntentClassifier.load, shared.models.embedder, catalog.intent),
        guardrails=shared.models.guards,
        tools=tools,
        upstreams=UpstreamPool(
            catalog, providers.all, CircuitBreakerStore(shared.stores.valkey, catalog.circuit_breaker)
        ),
    )
    if settings.local_model_url:
        # The small model was started because nobody else answered; a check at once says who does by now.
        parts.upstreams.unreachable.mark(
            *(p.name for p in providers.all.values() if PROVIDER_TYPES[p.type].external)
        )
    semantic = await _open_semantic_cache(catalog, shared.stores.engine, shared.models.embedder)
    if semantic is not None:
        stack.push_async_callback(semantic.aclose)
    # Last, so that what else is wrong is named first.
    require_models(catalog, settings.provider_config)
    container = _build(shared, parts, providers, roles, semantic, stack)
    tools.open()
    await stack.enter_async_context(parts.upstreams.running())
    return container


async def _open_semantic_cache(
    catalog: Catalog, engine: AsyncEngine, embedder: WordLlamaEmbedder
) -> SemanticCache | None:
    """The semantic cache where it is wanted; without pgvector it stays, finds nothing, and has said so."""
    if not catalog.cache.semantic.enabled:
        return None
    semantic = SemanticCache(
        ResponseEmbeddingRepository(engine),
        embedder,
        QuestionMatcher.load(embedder.token_vectors),
        catalog.cache.semantic,
    )
    await semantic.ensure_available()
    return semantic


def _build(
    shared: SharedResources,
    parts: AgentResources,
    providers: Providers,
    roles: RoleRegistry,
    semantic: SemanticCache | None,
    stack: AsyncExitStack,
) -> Container:
    settings, catalog, uow = shared.settings, parts.catalog, shared.stores.uow
    accounts, turns = shared.accounts, shared.execution
    responses = ResponseCache(shared.stores.valkey, catalog.cache.exact)
    flights = SingleFlight(responses)
    stack.push_async_callback(flights.aclose)
    titles = TitleGenerator(parts, uow, turns.ledger)
    stack.push_async_callback(titles.aclose)
    images = ImageLibrary(uow, shared.stores.blobs, max_bytes=catalog.media.max_bytes)
    users = UserService(
        uow,
        accounts.passwords,
        accounts.revocation,
        accounts.throttle,
        accounts.notices,
        operator_tier=catalog.cli_admin_tier,
    )
    calls = MeteredCalls(catalog, parts.upstreams, turns.ledger, turns.tasks)
    media = ImageGenerationService(
        calls,
        providers.images,
        images,
    )
    runner = CachingRunner(AgentRunner(parts), flights, semantic)
    chat = ChatService(
        runner, turns.ledger, turns.tasks, titles, turns.conversation_queue, ImageToolBinding(media)
    )
    return Container(
        settings=settings,
        catalog=catalog,
        engine=shared.stores.engine,
        valkey=shared.stores.valkey,
        providers=parts.providers,
        tasks=turns.tasks,
        authenticator=accounts.authenticator,
        environment_keys=accounts.environment_keys,
        revocation=accounts.revocation,
        partial_answers=turns.partial_answers,
        idempotency=turns.idempotency,
        client_retries=turns.client_retries,
        password_resets=accounts.password_resets,
        sessions=SessionService(uow, accounts.revocation),
        throttle=accounts.throttle,
        auth=_auth(shared, catalog),
        users=users,
        api_keys=ApiKeyService(uow, accounts.cache, catalog),
        conversations=ConversationService(
            uow, catalog.names(), lambda tier: catalog.tier_of(tier).storage_bytes
        ),
        chat=chat,
        resumption=StreamResumption(uow, turns.tasks, turns.events),
        generate=GenerateService(catalog, roles, chat),
        roles=roles,
        responses=StoredResponseService(uow),
        embeddings=EmbeddingService(calls, providers.embeddings),
        media=media,
        images=images,
        models=ModelCatalogService(parts),
        circuit_breakers=CircuitBreakerService(parts),
        usage=UsageReports(uow, catalog),
        usage_csv=UsageCsvExporter(uow),
        admin=AdminService(
            uow, accounts.cache, accounts.revocation, catalog, parts.providers, parts.upstreams
        ),
        account_data=AccountDataService(
            uow,
            accounts.cache,
            responses,
            turns.events,
            accounts.revocation,
            users.confirm_password,
            images,
            accounts.notices,
        ),
        references=RefCount(),
    )


def _auth(shared: SharedResources, catalog: Catalog) -> AuthService:
    settings, accounts = shared.settings, shared.accounts
    return AuthService(
        shared.stores.uow,
        accounts.revocation,
        accounts.tokens,
        RefreshTokens(settings.jwt_secret.get_secret_value()),
        accounts.passwords,
        accounts.throttle,
        refresh_ttl_seconds=settings.refresh_token_ttl_seconds,
        default_tier=catalog.registration_tier,
        sign_up_open=settings.sign_up_open,
    )
