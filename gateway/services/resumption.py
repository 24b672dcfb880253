"""A turn's end for those whose connection was lost, by what is written of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from uuid import UUID

from gateway.core.exceptions import NotFound
from gateway.domain.conversation import StoredMessage
from gateway.repositories.unit_of_work import UnitOfWork

POLL_SECONDS = 0.3
_RUNNING = frozenset({"pending", "streaming"})


class Resumption:
    """Finds an answer again, on any worker, also after a restart."""

    def __init__(self, uow: Callable[[], UnitOfWork]) -> None:
        self._uow = uow

    async def find(self, user_id: UUID, message_id: UUID) -> tuple[UUID, StoredMessage]:
        """The answer as it stands, with its conversation's id.

        Raises:
            NotFound: there is no such answer of this account.
        """
        async with self._uow() as uow:
            found = await uow.messages.get(user_id, message_id)
        if found is None or found[1].role != "assistant":
            raise NotFound
        return found

    async def ended(self, user_id: UUID, message_id: UUID) -> StoredMessage:
        """The answer once its turn has ended; one whose process died ends with its lease.

        Raises:
            NotFound: it was deleted meanwhile.
        """
        while True:
            _, message = await self.find(user_id, message_id)
            if message.status not in _RUNNING:
                return message
            await asyncio.sleep(POLL_SECONDS)
