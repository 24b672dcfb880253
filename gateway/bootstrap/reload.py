"""The active container, and how a new configuration replaces it while turns run."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import structlog

from gateway.bootstrap.container import Container, make_container
from gateway.bootstrap.shared import SharedResources, open_shared_resources, run_until_closed
from gateway.core.metrics import registry as metrics
from gateway.core.settings import Settings
from gateway.domain.config.catalog import Catalog
from gateway.domain.config.loader import ConfigError
from gateway.providers.registry import ProviderMisconfigured
from gateway.services.operations.config_file import config_file_fingerprint, load_catalog
from gateway.services.operations.config_reload import ConfigReloadService, ConfigurationRejected, LoadedConfig
from gateway.services.operations.gauges import GaugeUpdater
from gateway.tools.registry import ToolConfigurationError

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Generation:
    container: Container
    stack: AsyncExitStack


class ContainerManager:
    """Replaces containers.

    A request that started with one ends with it, and so does its turn.
    """

    def __init__(self, shared: SharedResources, on_change: Callable[[Container], None]) -> None:
        self._shared = shared
        self._on_change = on_change
        self._current: _Generation | None = None
        self._digest = ""
        self._lock = asyncio.Lock()
        self._closing: dict[asyncio.Task[None], AsyncExitStack] = {}

    @property
    def container(self) -> Container:
        """The active container."""
        assert self._current is not None
        return self._current.container

    async def start(self, catalog: Catalog) -> None:
        """Build and activate the first container.

        Raises:
            ConfigError, ProviderMisconfigured, ToolConfigurationError
        """
        new = await self._build(catalog)
        self._activate(new, config_file_fingerprint(self._shared.settings.provider_config))

    async def reload(self) -> LoadedConfig:
        """Read the file again and activate it.

        If anything is wrong, the old container stays active.

        Raises:
            ConfigurationRejected: with the line of each mistake.
        """
        async with self._lock:
            path = self._shared.settings.provider_config
            try:
                catalog = await asyncio.to_thread(load_catalog, path)
                new = await self._build(catalog)
            except (ConfigError, ProviderMisconfigured, ToolConfigurationError) as error:
                raise ConfigurationRejected(str(error)) from error
            old, digest = self._current, config_file_fingerprint(path)
            self._activate(new, digest)
            if old is not None:
                task = asyncio.create_task(self._close_when_unused(old))
                self._closing[task] = old.stack
                task.add_done_callback(self._closing.pop)
            return LoadedConfig(digest, len(catalog.models), len(catalog.providers))

    async def aclose(self) -> None:
        """Wait for the turns to end, then close all containers."""
        await self._shared.execution.tasks.drain()
        for task, stack in list(self._closing.items()):
            task.cancel()
            await asyncio.wait({task})
            await stack.aclose()
        if self._current is not None:
            await self._current.stack.aclose()

    async def _build(self, catalog: Catalog) -> _Generation:
        async with AsyncExitStack() as stack:
            container = await make_container(self._shared, catalog, stack)
            return _Generation(container, stack.pop_all())
        raise AssertionError  # an exit stack suppresses no errors

    def _activate(self, new: _Generation, digest: str) -> None:
        """Switch to the new container.

        It does not await, so no other task can observe a mixture of both containers.
        """
        self._shared.reconfigure(new.container.catalog)
        self._current = new
        self._on_change(new.container)
        if self._digest:
            metrics.configuration_info.labels(self._digest).set(0)
        metrics.configuration_info.labels(digest).set(1)
        self._digest = digest

    async def _close_when_unused(self, old: _Generation) -> None:
        """Close the old container after its last request, its last turn and that turn's title."""
        await old.container.references.wait_zero()
        await self._shared.execution.tasks.wait_current()
        await old.container.chat.service.titles.wait_idle()
        await old.stack.aclose()
        log.info("config.previous_closed")


@asynccontextmanager
async def open_gateway(
    settings: Settings, on_change: Callable[[Container], None]
) -> AsyncIterator[tuple[Container, ConfigReloadService]]:
    """Open the gateway.

    `on_change` is called with the first container and with each that replaces it.

    Raises:
        ConfigError, ProviderMisconfigured, ToolConfigurationError: the provider configuration is invalid.
    """
    catalog = load_catalog(settings.provider_config)
    async with open_shared_resources(settings, catalog) as shared, AsyncExitStack() as stack:
        manager = ContainerManager(shared, on_change)
        await manager.start(catalog)
        stack.push_async_callback(manager.aclose)
        reloads = ConfigReloadService(
            manager.reload, shared.stores.uow, shared.stores.valkey, shared.stores.pubsub
        )
        await stack.enter_async_context(reloads.running())
        first = manager.container
        gauges = GaugeUpdater(
            shared.stores.engine,
            shared.execution.tasks,
            shared.execution.conversation_queue,
            lambda: manager.container.operations.circuit_breakers.list_all(),
            database=first.database_ready,
            valkey=first.valkey_ready,
        )
        run_until_closed(stack, gauges.run())
        yield first, reloads
