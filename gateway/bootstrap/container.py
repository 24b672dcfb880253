"""Builds the container: all that one provider configuration determines."""

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
from gateway.bootstrap.build import (
    build_accounts,
    build_chat,
    build_generation,
    build_operations,
    build_runner,
)
from gateway.bootstrap.services import (
    AccountServices,
    ChatServices,
    GenerationServices,
    IdempotencyServices,
    OperationServices,
    RoleServices,
    StreamServices,
    UsageServices,
)
from gateway.bootstrap.shared import SharedResources, open_shared_resources
from gateway.cache.circuit_breakers import CircuitBreakerStore
from gateway.cache.client import ValkeyClient
from gateway.cache.health_check import ValkeyState
from gateway.cache.response_cache import ResponseCache
from gateway.core.ref_count import RefCount
from gateway.core.settings import Settings
from gateway.domain.config.catalog import Catalog
from gateway.providers.base import Provider
from gateway.providers.local.wordllama import WordLlamaEmbedder
from gateway.providers.registry import PROVIDER_TYPES, Providers, build_providers
from gateway.question_match import QuestionMatcher
from gateway.repositories.response_embeddings import ResponseEmbeddingRepository
from gateway.services.chat.image_tool import images_available
from gateway.services.execution.turn_tasks import TurnTaskRegistry
from gateway.services.operations.config_file import load_catalog, require_models
from gateway.services.response_cache.semantic import SemanticCache
from gateway.services.roles.generate import GenerateService
from gateway.services.roles.registry import RoleRegistry
from gateway.services.streams.resumption import StreamResumption
from gateway.services.usage.csv_export import UsageCsvExporter
from gateway.services.usage.reports import UsageReports
from gateway.tools.registry import ToolRegistry


@dataclass(frozen=True, slots=True)
class Container:
    """All that one provider configuration determines.

    Routers reach it through `get_container`.

    Another configuration has another container, on the same shared resources. `references` counts the
    requests that use this one.
    """

    settings: Settings
    catalog: Catalog
    engine: AsyncEngine
    valkey: ValkeyClient
    providers: Mapping[str, Provider]
    tasks: TurnTaskRegistry
    accounts: AccountServices
    chat: ChatServices
    streams: StreamServices
    idempotency: IdempotencyServices
    generation: GenerationServices
    roles: RoleServices
    usage: UsageServices
    operations: OperationServices
    references: RefCount

    @property
    def draining(self) -> bool:
        """Whether this worker is shutting down and accepts no new turns."""
        return self.tasks.draining

    async def database_ready(self) -> bool:
        """Whether PostgreSQL answers; never raises."""
        try:
            async with self.engine.connect() as connection:
                await connection.execute(text("SELECT 1"))
        except Exception:  # noqa: BLE001 - any failure means that it is not ready
            return False
        return True

    async def valkey_state(self) -> ValkeyState:
        """Whether Valkey executes commands; never raises."""
        return await self.valkey.check_state()

    async def valkey_ready(self) -> bool:
        """Whether Valkey answers, without errors; never raises."""
        return await self.valkey_state() == "up"


@asynccontextmanager
async def open_container(settings: Settings) -> AsyncIterator[Container]:
    """Open shared resources and one container, without reloads.

    See `bootstrap.reload` for those.

    Raises:
        ConfigError, ProviderMisconfigured, ToolConfigurationError: the provider configuration is invalid.
    """
    catalog = load_catalog(settings.provider_config)
    async with open_shared_resources(settings, catalog) as shared, AsyncExitStack() as stack:
        yield await make_container(shared, catalog, stack)


async def make_container(shared: SharedResources, catalog: Catalog, stack: AsyncExitStack) -> Container:
    """Build the container of `catalog`; what it opens is closed by `stack`.

    Raises:
        ConfigError, ProviderMisconfigured, ToolConfigurationError: the provider configuration is invalid.
    """
    settings = shared.settings
    registry = RoleRegistry.load(catalog.roles, settings.provider_config.parent / "prompts")
    providers = build_providers(
        catalog,
        shared.models.http,
        local_model_url=settings.local_model_url,
        config_folder=settings.provider_config.parent,
    )
    stack.push_async_callback(providers.aclose)
    has_images = images_available(catalog, providers.all)
    tools = ToolRegistry(catalog.tools, excluded=() if has_images else ("image",))
    stack.push_async_callback(tools.aclose)
    resources = AgentResources(
        catalog=catalog,
        providers=providers.all,
        # Takes half a second with configured exemplars, so it must not block the event loop.
        classifier=await asyncio.to_thread(IntentClassifier.load, shared.models.embedder, catalog.intent),
        guardrails=shared.models.guards,
        tools=tools,
        upstreams=UpstreamPool(
            catalog,
            providers.all,
            CircuitBreakerStore(shared.stores.valkey, shared.stores.pubsub, catalog.circuit_breaker),
        ),
    )
    if settings.local_model_url:
        # The local model runs because no other provider answered: check now which do by this time.
        resources.upstreams.unreachable.mark(
            *(p.name for p in providers.all.values() if PROVIDER_TYPES[p.type].external)
        )
    semantic = await _open_semantic_cache(catalog, shared.stores.engine, shared.models.embedder)
    if semantic is not None:
        stack.push_async_callback(semantic.aclose)
    # Last, so that other mistakes are reported first.
    require_models(catalog, settings.provider_config)
    container = _build(shared, resources, providers, registry, semantic, stack)
    tools.open()
    await stack.enter_async_context(resources.upstreams.running())
    return container


async def _open_semantic_cache(
    catalog: Catalog, engine: AsyncEngine, embedder: WordLlamaEmbedder
) -> SemanticCache | None:
    """The semantic cache if it is enabled.

    Without pgvector it logs a warning and finds nothing.
    """
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
    resources: AgentResources,
    providers: Providers,
    registry: RoleRegistry,
    semantic: SemanticCache | None,
    stack: AsyncExitStack,
) -> Container:
    catalog, uow, execution = resources.catalog, shared.stores.uow, shared.execution
    responses = ResponseCache(shared.stores.valkey, catalog.cache.exact)
    generation = build_generation(shared, resources, providers)
    runner = build_runner(resources, responses, semantic, stack)
    chat = build_chat(shared, resources, runner, generation.images, stack)
    return Container(
        settings=shared.settings,
        catalog=catalog,
        engine=shared.stores.engine,
        valkey=shared.stores.valkey,
        providers=resources.providers,
        tasks=execution.tasks,
        accounts=build_accounts(shared, catalog, responses, generation.image_library),
        chat=chat,
        streams=StreamServices(
            partial_answers=execution.partial_answers,
            resumption=StreamResumption(uow, execution.tasks, execution.events),
        ),
        idempotency=IdempotencyServices(execution.idempotency, execution.client_retries),
        generation=generation,
        roles=RoleServices(registry, GenerateService(catalog, registry, chat.service)),
        usage=UsageServices(shared.execution.ledger, UsageReports(uow, catalog), UsageCsvExporter(uow)),
        operations=build_operations(shared, resources),
        references=RefCount(),
    )
