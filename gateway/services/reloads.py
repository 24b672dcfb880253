"""The provider configuration read anew, by an administrator or a signal, and every worker told of it."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final, NoReturn
from uuid import UUID

import structlog

from gateway.cache.client import ValkeyClient, ValkeyUnavailable
from gateway.core.exceptions import GatewayError, ValidationFailed
from gateway.core.ids import new_id
from gateway.repositories.unit_of_work import UnitOfWork

log = structlog.get_logger(__name__)

CHANNEL: Final = "gateway:reload"
KEY: Final = "gateway:reload:last"
POLL_SECONDS = 10.0
# `gateway serve --workers` names itself here: nobody else's parent knows what a hang-up means to us.
SUPERVISOR: Final = "GATEWAY_SUPERVISOR_PID"


class ConfigurationRejected(ValidationFailed):
    """The file cannot be used; the message has a line a mistake: `file:line: key: what is wrong`."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """What is in force now: the file's SHA-256 and what it names."""

    digest: str
    models: int
    providers: int


@dataclass(frozen=True, slots=True)
class Reloaded:
    """`told`: by whom the other workers hear of it; None where nobody could tell them, or there are none."""

    loaded: Loaded
    told: str | None


class ReloadService:
    """`apply` reads the file and puts it into force in this worker, or raises and leaves all as it was.

    Each worker reads its own file and judges for itself. Through Valkey all workers of all machines hear of
    an administrator's wish, at once or, where a message was lost, within `POLL_SECONDS`. Without Valkey the
    process that started this worker tells those of this machine.
    """

    def __init__(
        self, apply: Callable[[], Awaitable[Loaded]], uow: Callable[[], UnitOfWork], valkey: ValkeyClient
    ) -> None:
        self._apply = apply
        self._uow = uow
        self._valkey = valkey
        self._heard: bytes | None = None
        self._expected_signals = 0

    async def by_admin(self, actor_id: UUID) -> Reloaded:
        """Reload here, write down who wished it and what came of it, and tell the others.

        Raises:
            ConfigurationRejected: the old one is still in force, everywhere.
        """
        try:
            loaded = await self._apply()
        except ConfigurationRejected as error:
            log.warning("configuration_rejected", reason=error.message)
            await self._write_down(actor_id, {"applied": False, "reason": error.message[:2000]})
            raise
        _log_loaded(loaded)
        told = await self._tell()
        await self._write_down(actor_id, {"applied": True, "digest": loaded.digest, "told": told})
        return Reloaded(loaded, told)

    async def by_signal(self) -> None:
        """Reload here; what is wrong is in the log."""
        if self._expected_signals:
            self._expected_signals -= 1  # our own wish, come back by way of our parent
            return
        await self._follow()

    @asynccontextmanager
    async def watching(self) -> AsyncIterator[None]:
        """While this is open, reloads that were wished elsewhere are made here too."""
        watchers: list[asyncio.Task[Any]] = []
        if self._valkey.configured:
            watchers = [asyncio.create_task(self._listen()), asyncio.create_task(self._poll())]
        try:
            yield
        finally:
            for task in watchers:
                task.cancel()
            await asyncio.gather(*watchers, return_exceptions=True)

    async def _tell(self) -> str | None:
        self._heard = new_id().hex.encode()
        try:
            await self._valkey.execute("SET", KEY, self._heard)
            await self._valkey.execute("PUBLISH", CHANNEL, self._heard)
        except ValkeyUnavailable:
            return "parent" if self._tell_parent() else None
        return "valkey"

    def _tell_parent(self) -> bool:
        parent = multiprocessing.parent_process()
        if parent is None or str(parent.pid) != os.environ.get(SUPERVISOR):
            return False
        self._expected_signals += 1
        os.kill(int(os.environ[SUPERVISOR]), signal.SIGHUP)
        return True

    async def _write_down(self, actor_id: UUID, details: dict[str, object]) -> None:
        async with self._uow() as uow:
            await uow.audit.add(
                "configuration.reloaded" if details["applied"] else "configuration.rejected",
                actor_id=actor_id,
                target_type="configuration",
                target_id=None,
                details=details,
            )

    async def _listen(self) -> None:
        async with aclosing(self._valkey.follow(CHANNEL)) as messages:
            async for message in messages:
                await self._hear(message)

    async def _poll(self) -> NoReturn:
        """Of what was wished before this worker began it has read the outcome already."""
        known = False
        while True:
            try:
                last = await self._valkey.execute("GET", KEY)
                if last is not None and known:
                    await self._hear(last)
                elif last is not None:
                    self._heard = last
                known = True
            except ValkeyUnavailable:
                log.debug("reloads_not_read")
            await asyncio.sleep(POLL_SECONDS)

    async def _hear(self, wish: bytes) -> None:
        if wish != self._heard:
            self._heard = wish
            await self._follow()

    async def _follow(self) -> None:
        try:
            _log_loaded(await self._apply())
        except GatewayError as error:
            log.error("configuration_rejected", reason=error.message)
        except Exception:
            log.exception("configuration_not_loaded")  # whatever it was, this worker serves on as before


def _log_loaded(loaded: Loaded) -> None:
    log.info("configuration_loaded", digest=loaded.digest, models=loaded.models, providers=loaded.providers)
