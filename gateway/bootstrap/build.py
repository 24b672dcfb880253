"""Builds the service groups of one configuration."""

from __future__ import annotations

from contextlib import AsyncExitStack

from gateway.agent.context import AgentResources
from gateway.agent.runner import AgentRunner
from gateway.bootstrap.services import (
    AccountServices,
    ChatServices,
    GenerationServices,
    OperationServices,
)
from gateway.bootstrap.shared import SharedResources
from gateway.cache.response_cache import ResponseCache
from gateway.core.security.tokens import RefreshTokens
from gateway.domain.config.catalog import Catalog
from gateway.providers.registry import Providers
from gateway.services.accounts.api_keys import ApiKeyService
from gateway.services.accounts.auth import AuthService
from gateway.services.accounts.data_export import AccountExporter
from gateway.services.accounts.deletion import AccountCaches, AccountDeletionService
from gateway.services.accounts.sessions import SessionService
from gateway.services.accounts.users import UserService
from gateway.services.chat.conversations import ConversationService
from gateway.services.chat.image_tool import ImageToolBinding
from gateway.services.chat.service import ChatService
from gateway.services.chat.stored_responses import StoredResponseService
from gateway.services.chat.titles import TitleGenerator
from gateway.services.generation.embeddings import EmbeddingService
from gateway.services.generation.image_library import ImageLibrary
from gateway.services.generation.images import ImageGenerationService
from gateway.services.generation.metered_call import MeteredCalls
from gateway.services.operations.admin import AdminService
from gateway.services.operations.circuit_breakers import CircuitBreakerService
from gateway.services.operations.model_catalog import ModelCatalogService
from gateway.services.response_cache.cached_runner import CachingRunner
from gateway.services.response_cache.semantic import SemanticCache
from gateway.services.response_cache.single_flight import SingleFlight


def build_runner(
    resources: AgentResources, responses: ResponseCache, semantic: SemanticCache | None, stack: AsyncExitStack
) -> CachingRunner:
    single_flight = SingleFlight(responses)
    stack.push_async_callback(single_flight.aclose)
    return CachingRunner(AgentRunner(resources), single_flight, semantic)


def build_chat(
    shared: SharedResources,
    resources: AgentResources,
    runner: CachingRunner,
    images: ImageGenerationService,
    stack: AsyncExitStack,
) -> ChatServices:
    catalog, uow, execution = resources.catalog, shared.stores.uow, shared.execution
    titles = TitleGenerator(resources, uow, execution.ledger)
    stack.push_async_callback(titles.aclose)
    return ChatServices(
        service=ChatService(
            runner,
            execution.ledger,
            execution.tasks,
            titles,
            execution.conversation_queue,
            ImageToolBinding(images),
        ),
        conversations=ConversationService(
            uow, catalog.names(), lambda tier: catalog.tier_of(tier).storage_bytes
        ),
        stored_responses=StoredResponseService(uow),
    )


def build_generation(
    shared: SharedResources, resources: AgentResources, providers: Providers
) -> GenerationServices:
    catalog, execution = resources.catalog, shared.execution
    calls = MeteredCalls(catalog, resources.upstreams, execution.ledger, execution.tasks)
    library = ImageLibrary(shared.stores.uow, shared.stores.blobs, max_bytes=catalog.media.max_bytes)
    return GenerationServices(
        embeddings=EmbeddingService(calls, providers.embeddings),
        images=ImageGenerationService(calls, providers.images, library),
        image_library=library,
    )


def build_accounts(
    shared: SharedResources, catalog: Catalog, responses: ResponseCache, library: ImageLibrary
) -> AccountServices:
    settings, accounts, uow = shared.settings, shared.accounts, shared.stores.uow
    users = UserService(
        uow,
        accounts.passwords,
        accounts.revocation,
        accounts.throttle,
        accounts.notices,
        operator_tier=catalog.cli_admin_tier,
    )
    return AccountServices(
        authenticator=accounts.authenticator,
        environment_keys=accounts.environment_keys,
        revocation=accounts.revocation,
        auth=AuthService(
            uow,
            accounts.revocation,
            accounts.tokens,
            RefreshTokens(settings.jwt_secret.get_secret_value()),
            accounts.passwords,
            accounts.throttle,
            refresh_ttl_seconds=settings.refresh_token_ttl_seconds,
            default_tier=catalog.registration_tier,
            sign_up_open=settings.sign_up_open,
        ),
        password_resets=accounts.password_resets,
        sessions=SessionService(uow, accounts.revocation),
        throttle=accounts.throttle,
        users=users,
        api_keys=ApiKeyService(uow, accounts.cache, catalog),
        data_export=AccountExporter(uow),
        deletion=AccountDeletionService(
            uow,
            users.confirm_password,
            accounts.revocation,
            library,
            accounts.notices,
            AccountCaches(accounts.cache, responses, shared.execution.events),
        ),
    )


def build_operations(shared: SharedResources, resources: AgentResources) -> OperationServices:
    accounts = shared.accounts
    return OperationServices(
        admin=AdminService(
            shared.stores.uow,
            accounts.cache,
            accounts.revocation,
            resources.catalog,
            resources.providers,
            resources.upstreams,
        ),
        circuit_breakers=CircuitBreakerService(resources),
        model_catalog=ModelCatalogService(resources),
    )
