"""Revocation: ends the access tokens and running turns of sessions and accounts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from uuid import UUID

import orjson
import structlog

from gateway.cache.auth import AuthCache
from gateway.cache.client import ValkeyUnavailable
from gateway.cache.pubsub import PubSub
from gateway.core.aio import cancel_and_wait, run_every
from gateway.repositories.unit_of_work import UnitOfWorkFactory
from gateway.services.execution.turn_tasks import TurnTaskRegistry

log = structlog.get_logger(__name__)

POLL_SECONDS = 2.0
_CANCEL_WAIT_SECONDS = 2.0


class RevocationService:
    """Revokes accounts and sessions; called after the change is committed.

    Cached credentials are invalidated, so that access tokens stop working at once. Running turns are
    cancelled in three ways: in this worker directly; in other workers by a Valkey message; and by every
    worker checking PostgreSQL every few seconds, which needs no Valkey and catches lost messages.
    """

    def __init__(
        self,
        tasks: TurnTaskRegistry,
        cache: AuthCache,
        pubsub: PubSub,
        uow: UnitOfWorkFactory,
        *,
        poll_seconds: float | None = None,
    ) -> None:
        self._tasks = tasks
        self._cache = cache
        self._pubsub = pubsub
        self._uow = uow
        self._poll_seconds = POLL_SECONDS if poll_seconds is None else poll_seconds
        self._previous_owners: set[tuple[UUID, UUID | None]] = set()

    async def revoke_account(self, user_id: UUID) -> None:
        """Revoke a disabled or deleted account.

        Cancel all its turns, including those of API keys.
        """
        await self._cache.invalidate_account(user_id)
        await self._cancel_turns(user_id, None)

    async def revoke_sessions(
        self, user_id: UUID, revoked: Collection[UUID], *, current: UUID | None = None
    ) -> None:
        """Revoke sessions, and cancel their turns and those of `current`, which stays valid."""
        await self._cache.invalidate_sessions(*revoked)
        if turns := frozenset(revoked) | (frozenset() if current is None else {current}):
            await self._cancel_turns(user_id, turns)

    async def revoke_all_sessions(self, user_id: UUID, revoked: Collection[UUID]) -> None:
        """Revoke all sessions after `token_version` was raised; API keys stay valid."""
        await self._cache.invalidate_account(user_id)
        await self.revoke_sessions(user_id, revoked)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Cancel turns that other workers revoke while the context is open."""
        unsubscribe = self._pubsub.subscribe("revocation", self._on_message)
        poll = asyncio.create_task(
            run_every(self._poll_seconds, self._poll, on_failure="revocation.check_failed")
        )
        try:
            yield
        finally:
            unsubscribe()
            await cancel_and_wait(poll)

    async def cancel_turns_of_inactive(self, owners: Collection[tuple[UUID, UUID | None]]) -> int:
        """Cancel local turns whose account or session is no longer active; return how many."""
        if not owners:
            return 0
        users = {user_id for user_id, _ in owners}
        sessions = {session_id for _, session_id in owners if session_id is not None}
        async with self._uow() as uow:
            active_users = await uow.users.filter_active(users)
            active_sessions = await uow.refresh_tokens.filter_active(sessions) if sessions else set()
        cancelled = sum(len(self._tasks.cancel_turns_of(user_id)) for user_id in users - active_users)
        for user_id, session_id in owners:
            if user_id in active_users and session_id is not None and session_id not in active_sessions:
                cancelled += len(self._tasks.cancel_turns_of(user_id, frozenset({session_id})))
        return cancelled

    async def _cancel_turns(self, user_id: UUID, sessions: frozenset[UUID] | None) -> None:
        turns = self._tasks.cancel_turns_of(user_id, sessions)
        session_ids = None if sessions is None else [session.hex for session in sessions]
        try:
            await self._pubsub.publish("revocation", orjson.dumps([user_id.hex, session_ids]))
        except ValkeyUnavailable:
            log.info("revocation.publish_failed")  # other workers find out by polling PostgreSQL
        if turns:  # each stores its partial answer while its account still exists
            await asyncio.wait(turns, timeout=_CANCEL_WAIT_SECONDS)

    def _on_message(self, message: bytes) -> None:
        user, session_ids = orjson.loads(message)
        sessions = None if session_ids is None else frozenset(map(UUID, session_ids))
        self._tasks.cancel_turns_of(UUID(user), sessions)

    async def _poll(self) -> None:
        """Check the owners of turns that also ran at the previous poll: short turns cost no query."""
        owners = self._tasks.owners()
        await self.cancel_turns_of_inactive(owners & self._previous_owners)
        self._previous_owners = owners
