"""Reloads the provider configuration in all workers, on request or on SIGHUP."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final
from uuid import UUID

import structlog

from gateway.cache.client import ValkeyClient, ValkeyUnavailable
from gateway.cache.pubsub import PubSub
from gateway.core.aio import cancel_and_wait, run_every
from gateway.core.exceptions import GatewayError, ValidationFailed
from gateway.core.ids import new_id
from gateway.repositories.unit_of_work import UnitOfWorkFactory

log = structlog.get_logger(__name__)

LAST_RELOAD_KEY: Final = "gateway:reload:last"
POLL_SECONDS = 10.0
# Set by `gateway serve --workers` to its own process id: only that parent understands our SIGHUP.
SUPERVISOR_PID_ENV: Final = "GATEWAY_SUPERVISOR_PID"


class ConfigurationRejected(ValidationFailed):
    """The file cannot be used; the message has one line (`file:line: key: problem`) per problem."""


@dataclass(frozen=True, slots=True)
class LoadedConfig:
    """The configuration in force: the file's SHA-256 and how much it defines."""

    digest: str
    models: int
    providers: int


@dataclass(frozen=True, slots=True)
class ReloadResult:
    """The result of a reload; `notified_via` None means that no other worker was notified."""

    config: LoadedConfig
    notified_via: str | None


class ConfigReloadService:
    """Reloads the configuration in this worker and notifies the others.

    Every worker reads and validates its own file. Workers on all machines learn of an administrator's reload
    through Valkey, at once or within `POLL_SECONDS` if the message was lost. Without Valkey, the parent
    process notifies the workers of this machine.

    Args:
        apply: loads the file and activates it in this worker, or raises and changes nothing.
    """

    def __init__(
        self,
        apply: Callable[[], Awaitable[LoadedConfig]],
        uow: UnitOfWorkFactory,
        valkey: ValkeyClient,
        pubsub: PubSub,
    ) -> None:
        self._apply = apply
        self._uow = uow
        self._valkey = valkey
        self._pubsub = pubsub
        self._last_reload_id: bytes | None = None
        self._announced_id: bytes | None = None
        self._announced = asyncio.Event()
        self._primed = False
        self._expected_signals = 0

    async def reload_as_admin(self, actor_id: UUID) -> ReloadResult:
        """Reload here, write an audit record and notify the other workers.

        Raises:
            ConfigurationRejected: the old configuration stays in force everywhere.
        """
        try:
            loaded = await self._apply()
        except ConfigurationRejected as error:
            log.warning("config.rejected", reason=error.message)
            await self._write_audit_record(actor_id, {"applied": False, "reason": error.message[:2000]})
            raise
        _log_loaded(loaded)
        notified_via = await self._announce()
        await self._write_audit_record(
            actor_id, {"applied": True, "digest": loaded.digest, "told": notified_via}
        )
        return ReloadResult(loaded, notified_via)

    async def reload_on_signal(self) -> None:
        """Reload here; problems are logged."""
        if self._expected_signals:
            self._expected_signals -= 1  # our own announcement, returned by the parent process
            return
        await self._reload_and_log()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Apply reloads announced by other workers while the context is open."""
        if not self._pubsub.configured:
            yield
            return
        unsubscribe = self._pubsub.subscribe("reload", self._on_message)
        poll = asyncio.create_task(
            run_every(
                POLL_SECONDS,
                self._poll,
                on_failure="config.poll_failed",
                immediately=True,
                wake=self._announced,
            )
        )
        try:
            yield
        finally:
            unsubscribe()
            await cancel_and_wait(poll)

    async def _announce(self) -> str | None:
        self._last_reload_id = new_id().hex.encode()
        try:
            await self._valkey.execute("SET", LAST_RELOAD_KEY, self._last_reload_id)
            await self._pubsub.publish("reload", self._last_reload_id)
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

    def _on_message(self, reload_id: bytes) -> None:
        self._announced_id = reload_id
        self._announced.set()

    async def _poll(self) -> None:
        """Reload if there is a new announcement; those from before the start are ignored."""
        reload_id, self._announced_id = self._announced_id, None
        if reload_id is None:
            try:
                reload_id = await self._valkey.execute("GET", LAST_RELOAD_KEY)
            except ValkeyUnavailable:
                log.debug("config.poll_failed")
                return
            if not self._primed:
                self._primed = True
                self._last_reload_id = reload_id or self._last_reload_id
                return
        if reload_id is not None and reload_id != self._last_reload_id:
            self._last_reload_id = reload_id
            await self._reload_and_log()

    async def _reload_and_log(self) -> None:
        try:
            _log_loaded(await self._apply())
        except GatewayError as error:
            log.error("config.rejected", reason=error.message)
        except Exception:
            log.exception("config.reload_failed")  # this worker continues with the old configuration


def _log_loaded(loaded: LoadedConfig) -> None:
    log.info("config.reloaded", digest=loaded.digest, models=loaded.models, providers=loaded.providers)
