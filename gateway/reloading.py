"""The container in force, and how another configuration takes its place while turns run."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import structlog

from gateway.container import Container, make_container
from gateway.core import metrics
from gateway.core.settings import Settings
from gateway.domain.catalog import Catalog
from gateway.domain.catalog_file import ConfigError
from gateway.foundation import Foundation, in_background, open_foundation
from gateway.providers.chat.registry import ProviderMisconfigured
from gateway.services.configuration import fingerprint_of, load_catalog
from gateway.services.reloads import ConfigurationRejected, Loaded, ReloadService
from gateway.services.vitals import Vitals
from gateway.tools.registry import ToolConfigurationError

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Generation:
    container: Container
    stack: AsyncExitStack


class Generations:
    """One container after another; a request that has begun with one ends with it, and so does its turn."""

    def __init__(self, foundation: Foundation, adopt: Callable[[Container], None]) -> None:
        self._foundation = foundation
        self._adopt = adopt
        self._now: _Generation | None = None
        self._digest = ""
        self._changing = asyncio.Lock()
        self._retiring: dict[asyncio.Task[None], AsyncExitStack] = {}

    @property
    def container(self) -> Container:
        """The one in force."""
        assert self._now is not None
        return self._now.container

    async def begin(self, catalog: Catalog) -> None:
        """Put the first one into force.

        Raises:
            ConfigError, ProviderMisconfigured, ToolConfigurationError
        """
        new = await self._make(catalog)
        self._put_into_force(new, fingerprint_of(self._foundation.settings.provider_config))

    async def reload(self) -> Loaded:
        """Read the file anew and put what it says into force; whatever is wrong, the old one stays whole.

        Raises:
            ConfigurationRejected: with each mistake's line.
        """
        async with self._changing:
            path = self._foundation.settings.provider_config
            try:
                catalog = await asyncio.to_thread(load_catalog, path)
                new = await self._make(catalog)
            except (ConfigError, ProviderMisconfigured, ToolConfigurationError) as error:
                raise ConfigurationRejected(str(error)) from error
            old, digest = self._now, fingerprint_of(path)
            self._put_into_force(new, digest)
            if old is not None:
                task = asyncio.create_task(self._retire(old))
                self._retiring[task] = old.stack
                task.add_done_callback(self._retiring.pop)
            return Loaded(digest, len(catalog.models), len(catalog.providers))

    async def aclose(self) -> None:
        """Let the turns end, then close what is in force and what has not been closed yet."""
        await self._foundation.turns.tasks.drained()
        for task, stack in list(self._retiring.items()):
            task.cancel()
            await asyncio.wait({task})
            await stack.aclose()
        if self._now is not None:
            await self._now.stack.aclose()

    async def _make(self, catalog: Catalog) -> _Generation:
        async with AsyncExitStack() as stack:
            container = await make_container(self._foundation, catalog, stack)
            return _Generation(container, stack.pop_all())
        raise AssertionError  # an exit stack swallows nothing

    def _put_into_force(self, new: _Generation, digest: str) -> None:
        """Without a pause in it: nobody sees half of each."""
        self._foundation.adopt(new.container.catalog)
        self._now = new
        self._adopt(new.container)
        if self._digest:
            metrics.configuration_info.labels(self._digest).set(0)
        metrics.configuration_info.labels(digest).set(1)
        self._digest = digest

    async def _retire(self, old: _Generation) -> None:
        """Close what nobody uses any more: after its last request, its last turn and that one's title."""
        await old.container.in_use.unused()
        await self._foundation.turns.tasks.ended()
        await old.container.chat.titles.idle()
        await old.stack.aclose()
        log.info("configuration_retired")


@asynccontextmanager
async def open_gateway(
    settings: Settings, adopt: Callable[[Container], None]
) -> AsyncIterator[tuple[Container, ReloadService]]:
    """Serve by the configuration; `adopt` is given the first container, and each that takes its place.

    Raises:
        ConfigError, ProviderMisconfigured, ToolConfigurationError: the provider configuration is wrong.
    """
    catalog = load_catalog(settings.provider_config)
    async with open_foundation(settings, catalog) as foundation, AsyncExitStack() as stack:
        generations = Generations(foundation, adopt)
        await generations.begin(catalog)
        stack.push_async_callback(generations.aclose)
        reloads = ReloadService(generations.reload, foundation.stores.uow, foundation.stores.valkey)
        await stack.enter_async_context(reloads.watching())
        first = generations.container
        vitals = Vitals(
            foundation.stores.engine,
            foundation.turns.tasks,
            foundation.turns.waiting,
            lambda: generations.container.breakers.all(),
            database=first.database_ready,
            valkey=first.valkey_ready,
        )
        in_background(stack, vitals.run())
        yield first, reloads
