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
LAST_RELOAD_KEY: Final = "gateway:reload:last"
POLL_SECONDS = 10.0
# `gateway serve --workers` names itself here: nobody else's parent knows what a hang-up means to us.
SUPERVISOR_PID_ENV: Final = "GATEWAY_SUPERVISOR_PID"


class ConfigurationRejected(ValidationFailed):
    """The file cannot be used; the message has a line a mistake: `file:line: key: what is wrong`."""


@dataclass(frozen=True, slots=True)
class LoadedConfig:
    """What is in force now: the file's SHA-256 and what it names."""

    digest: str
    models: int
    providers: int


@dataclass(frozen=True, slots=True)
class ReloadResult:
    """`told`: by whom the other workers hear of it; None where nobody could tell them, or there are none."""

    config: LoadedConfig
    notified_via: str | None


class ConfigReloadService:
    """`apply` reads the file and puts it into force in this worker, or raises and leaves all as it was.

    Each worker reads its own file and judges for itself. Through Valkey all workers of all machines hear of
    an administrator's wish, at once or, where a message was lost, within `POLL_SECONDS`. Without Valkey the
    process that started this worker tells those of this machine.
    """

    def __init__(
        self,
        apply: Callable[[], Awaitable[LoadedConfig]],
        uow: Callable[[], UnitOfWork],
        valkey: ValkeyClient,
    ) -> None:
        self._apply = apply
        self._uow = uow
        self._valkey = valkey
        self._last_reload_id: bytes | None = None
        self._expected_signals = 0

    async def reload_as_admin(self, actor_id: UUID) -> ReloadResult:
        """Reload here, write down who wished it and what came of it, and tell the others.

        Raises:
            ConfigurationRejected: the old one is still in force, everywhere.
        """
        try:
            loaded = await self._apply()
        except ConfigurationRejected as error:
            log.warning("configuration_rejected", reason=error.message)
            await self._write_audit_record(actor_id, {"applied": False, "reason": error.message[:2000]})
            raise
        _log_loaded(loaded)
        notified_via = await self._announce()
        await self._write_audit_record(
            actor_id, {"applied": True, "digest": loaded.digest, "told": notified_via}
        )
        return ReloadResult(loaded, notified_via)

    async def reload_on_signal(self) -> None:
        """Reload here; what is wrong is in the log."""
        if self._expected_signals:
            self._expected_signals -= 1  # our own wish, come back by way of our parent
            return
        await self._reload_and_log()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """While this is open, reloads that were wished elsewhere are made here too."""
        tasks: list[asyncio.Task[Any]] = []
        if self._valkey.configured:
            tasks = [asyncio.create_task(self._listen()), asyncio.create_task(self._poll())]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _announce(self) -> str | None:
        self._last_reload_id = new_id().hex.encode()
        try:
            await self._valkey.execute("SET", LAST_RELOAD_KEY, self._last_reload_id)
            await self._valkey.execute("PUBLISH", CHANNEL, self._last_reload_id)
        except ValkeyUnavailable:
            return "parent" if self._signal_parent() else None
        return "valkey"

    def _signal_parent(self) -> bool:
        parent = multiprocessing.parent_process()
        if parent is None or str(parent.pid) != os.environ.get(SUPERVISOR_PID_ENV):
            return False
        self._expected_signals += 1
        os.kill(int(os.environ[SUPERVISOR_PID_ENV]), signal.SIGHUP)
        return True

    async def _write_audit_record(self, actor_id: UUID, details: dict[str, object]) -> None:
        async with self._uow() as uow:
            await uow.audit.add(
                "configuration.reloaded" if details["applied"] else "configuration.rejected",
                actor_id=actor_id,
                target_type="configuration",
                target_id=None,
                details=details,
            )

    async def _listen(self) -> None:
        async with aclosing(self._valkey.subscribe(CHANNEL)) as messages:
            async for _, message in messages:
                await self._on_message(message)

    async def _poll(self) -> NoReturn:
        """Of what was wished before this worker began it has read the outcome already."""
        primed = False
        while True:
            try:
                reload_id = await self._valkey.execute("GET", LAST_RELOAD_KEY)
                if reload_id is not None and primed:
                    await self._on_message(reload_id)
                elif reload_id is not None:
                    self._last_reload_id = reload_id
                primed = True
            except ValkeyUnavailable:
                log.debug("reloads_not_read")
            await asyncio.sleep(POLL_SECONDS)

    async def _on_message(self, reload_id: bytes) -> None:
        if reload_id != self._last_reload_id:
            self._last_reload_id = reload_id
            await self._reload_and_log()

    async def _reload_and_log(self) -> None:
        try:
            _log_loaded(await self._apply())
        except GatewayError as error:
            log.error("configuration_rejected", reason=error.message)
        except Exception:
            log.exception("configuration_not_loaded")  # whatever it was, this worker serves on as before


def _log_loaded(loaded: LoadedConfig) -> None:
    log.info("configuration_loaded", digest=loaded.digest, models=loaded.models, providers=loaded.providers)
