"""Records when API keys and sessions were last used, at most once a minute each."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Coroutine
from typing import Any
from uuid import UUID

import structlog

from gateway.core.aio import TRANSIENT_ERRORS, BackgroundTasks
from gateway.repositories.unit_of_work import UnitOfWorkFactory

log = structlog.get_logger(__name__)

_INTERVAL_SECONDS = 60.0
_MAX_REMEMBERED = 10_000


class LastUsedTracker:
    """Remembers recent updates, so that most requests only cost a lookup in memory."""

    def __init__(self, uow: UnitOfWorkFactory) -> None:
        self._uow = uow
        self._recorded_at: OrderedDict[UUID, float] = OrderedDict()
        self._tasks = BackgroundTasks()

    def record_key(self, key_id: UUID) -> None:
        if self._is_due(key_id):
            self._tasks.spawn(self._run_and_log(self._touch_key(key_id)))

    def record_session(self, session_id: UUID) -> None:
        if self._is_due(session_id):
            self._tasks.spawn(self._run_and_log(self._touch_session(session_id)))

    async def aclose(self) -> None:
        """Wait for pending updates."""
        await self._tasks.drain()

    def _is_due(self, subject_id: UUID) -> bool:
        now = time.monotonic()
        if now - self._recorded_at.get(subject_id, -_INTERVAL_SECONDS) < _INTERVAL_SECONDS:
            return False
        self._recorded_at[subject_id] = now
        self._recorded_at.move_to_end(subject_id)
        if len(self._recorded_at) > _MAX_REMEMBERED:
            self._recorded_at.popitem(last=False)
        return True

    async def _run_and_log(self, update: Coroutine[Any, Any, None]) -> None:
        try:
            await update
        except TRANSIENT_ERRORS as error:
            # The next minute's update makes up for a failed one.
            log.warning("last_used.update_failed", error=type(error).__name__)

    async def _touch_key(self, key_id: UUID) -> None:
        async with self._uow() as uow:
            await uow.api_keys.mark_used(key_id)

    async def _touch_session(self, session_id: UUID) -> None:
        async with self._uow() as uow:
            await uow.refresh_tokens.mark_used(session_id)
