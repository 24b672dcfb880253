"""When keys and sessions were last used: noted off the request's path, once a minute for each."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Coroutine
from typing import Any
from uuid import UUID

import structlog
from sqlalchemy.exc import SQLAlchemyError

from gateway.core.exceptions import GatewayError
from gateway.repositories.unit_of_work import UnitOfWork

log = structlog.get_logger(__name__)

_EVERY_SECONDS = 60.0
_REMEMBERED = 10_000


class LastUse:
    """Remembers whose use it noted, so that all but one request a minute cost a look-up in memory."""

    def __init__(self, uow: Callable[[], UnitOfWork]) -> None:
        self._uow = uow
        self._noted: OrderedDict[UUID, float] = OrderedDict()
        self._writing: set[asyncio.Task[None]] = set()

    def key(self, key_id: UUID) -> None:
        if self._due(key_id):
            self._write(self._note_key(key_id))

    def session(self, session_id: UUID) -> None:
        if self._due(session_id):
            self._write(self._note_session(session_id))

    async def aclose(self) -> None:
        """Waits for what is still being noted."""
        await asyncio.gather(*self._writing, return_exceptions=True)

    def _due(self, whose: UUID) -> bool:
        now = time.monotonic()
        if now - self._noted.get(whose, -_EVERY_SECONDS) < _EVERY_SECONDS:
            return False
        self._noted[whose] = now
        self._noted.move_to_end(whose)
        if len(self._noted) > _REMEMBERED:
            self._noted.popitem(last=False)
        return True

    def _write(self, note: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(self._attempt(note))
        self._writing.add(task)
        task.add_done_callback(self._writing.discard)

    async def _attempt(self, note: Coroutine[Any, Any, None]) -> None:
        try:
            await note
        except (GatewayError, SQLAlchemyError, OSError) as error:
            # Nobody waits for it, and the next minute brings another.
            log.warning("last_use_not_noted", error=type(error).__name__)

    async def _note_key(self, key_id: UUID) -> None:
        async with self._uow() as uow:
            await uow.api_keys.touch(key_id)

    async def _note_session(self, session_id: UUID) -> None:
        async with self._uow() as uow:
            await uow.refresh_tokens.touch(session_id)
