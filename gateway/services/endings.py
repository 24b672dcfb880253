"""What a session or an account takes with it when it ends: its access tokens and its running turns."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import aclosing, asynccontextmanager
from typing import Any, NoReturn
from uuid import UUID

import orjson
import structlog
from sqlalchemy.exc import SQLAlchemyError

from gateway.cache.auth_cache import AuthCache
from gateway.cache.client import ValkeyClient, ValkeyUnavailable
from gateway.core.exceptions import GatewayError
from gateway.repositories.unit_of_work import UnitOfWork
from gateway.services.turns import TurnTasks

log = structlog.get_logger(__name__)

CHANNEL = "gateway:ended"
CHECK_SECONDS = 2.0
_SETTLE_SECONDS = 2.0


class Endings:
    """To be told of every session and account that has ended, after that is committed.

    What workers remember of it is forgotten, so that no access token is believed any more. Its turns end in
    three ways, because each alone leaves a gap: those of this worker are cancelled directly; the other
    workers are told through Valkey; and every worker asks PostgreSQL every few seconds whether those it is
    answering may still be answered, which needs no Valkey and misses nothing.
    """

    def __init__(
        self,
        tasks: TurnTasks,
        cache: AuthCache,
        valkey: ValkeyClient,
        uow: Callable[[], UnitOfWork],
        *,
        check_seconds: float | None = None,
    ) -> None:
        self._tasks = tasks
        self._cache = cache
        self._valkey = valkey
        self._uow = uow
        self._check_seconds = CHECK_SECONDS if check_seconds is None else check_seconds

    async def account(self, user_id: UUID) -> None:
        """The account was disabled or deleted: all its turns end, its keys' too."""
        await self._cache.forget_account(user_id)
        await self._end(user_id, None)

    async def sessions(self, user_id: UUID, ended: Collection[UUID], *, kept: UUID | None = None) -> None:
        """Sessions of the account have ended; so do the turns of `kept`, which lives on itself."""
        await self._cache.forget_sessions(*ended)
        if turns := frozenset(ended) | (frozenset() if kept is None else {kept}):
            await self._end(user_id, turns)

    async def everywhere(self, user_id: UUID, ended: Collection[UUID]) -> None:
        """All sessions of the account have ended and its `token_version` was raised; its keys live on."""
        await self._cache.forget_account(user_id)
        await self.sessions(user_id, ended)

    @asynccontextmanager
    async def watching(self) -> AsyncIterator[None]:
        """While this is open, turns end here that were ended elsewhere."""
        watchers: list[asyncio.Task[Any]] = [asyncio.create_task(self._check())]
        if self._valkey.configured:
            watchers.append(asyncio.create_task(self._listen()))
        try:
            yield
        finally:
            for task in watchers:
                task.cancel()
            await asyncio.wait(watchers)

    async def check(self, owners: Collection[tuple[UUID, UUID | None]]) -> int:
        """End the turns here whose account or session is no more; returns how many those were."""
        if not owners:
            return 0
        users = {user_id for user_id, _ in owners}
        sessions = {session_id for _, session_id in owners if session_id is not None}
        async with self._uow() as uow:
            active = await uow.users.active_among(users)
            living = await uow.refresh_tokens.living_among(sessions) if sessions else set()
        ended = sum(len(self._tasks.cancel_owner(user_id)) for user_id in users - active)
        for user_id, session_id in owners:
            if user_id in active and session_id is not None and session_id not in living:
                ended += len(self._tasks.cancel_owner(user_id, frozenset({session_id})))
        return ended

    async def _end(self, user_id: UUID, sessions: frozenset[UUID] | None) -> None:
        turns = self._tasks.cancel_owner(user_id, sessions)
        named = None if sessions is None else [session.hex for session in sessions]
        try:
            await self._valkey.execute("PUBLISH", CHANNEL, orjson.dumps([user_id.hex, named]))
        except ValkeyUnavailable:
            log.info("ending_not_announced")  # the other workers find out by asking PostgreSQL
        if turns:  # each writes down how far it came, while its account is still there
            await asyncio.wait(turns, timeout=_SETTLE_SECONDS)

    async def _listen(self) -> None:
        async with aclosing(self._valkey.follow(CHANNEL)) as messages:
            async for message in messages:
                self._hear(message)

    def _hear(self, message: bytes) -> None:
        try:
            user, named = orjson.loads(message)
            sessions = None if named is None else frozenset(map(UUID, named))
            self._tasks.cancel_owner(UUID(user), sessions)
        except (ValueError, TypeError, AttributeError):
            log.warning("ending_not_understood")  # another version of the gateway wrote it

    async def _check(self) -> NoReturn:
        before: set[tuple[UUID, UUID | None]] = set()
        while True:
            await asyncio.sleep(self._check_seconds)
            now = self._tasks.owners()
            try:
                # Whoever was not here the last time was let in a moment ago: short turns cost no question.
                await self.check(now & before)
                before = now
            except (GatewayError, SQLAlchemyError, OSError) as error:
                log.warning("endings_not_checked", error=type(error).__name__)
