"""Queue of turns that wait for their conversation, shared by all workers."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.core.database import driver_connection

# How long a ticket lives without being renewed.
TICKET_LEASE_SECONDS = 10.0

_LOCK_CONVERSATION = "SELECT 1 FROM conversations WHERE id = $1 AND user_id = $2 FOR UPDATE"
_DELETE_EXPIRED = "DELETE FROM waiting_turns WHERE conversation_id = $1 AND expires_at < now()"
# $1 conversation $2 seconds $3 maximum of waiting turns
_ENQUEUE = """
INSERT INTO waiting_turns (conversation_id, expires_at)
SELECT $1, now() + make_interval(secs => $2)
WHERE (SELECT count(*) FROM waiting_turns WHERE conversation_id = $1) < $3
RETURNING ticket
"""
# $1 conversation $2 seconds. Marks on the conversation's own row that turns are waiting.
_MARK_WAITING = "UPDATE conversations SET waiting_until = now() + make_interval(secs => $2) WHERE id = $1"
# $1 ticket $2 seconds. The conversation's row is written only when necessary, because turns lock it.
_RENEW_TICKET = """
WITH marked AS (
    UPDATE conversations c SET waiting_until = now() + make_interval(secs => $2)
    FROM waiting_turns w
    WHERE w.ticket = $1 AND c.id = w.conversation_id
      AND c.waiting_until < now() + make_interval(secs => $2 / 2)
    RETURNING 1
)
UPDATE waiting_turns w SET expires_at = now() + make_interval(secs => $2)
FROM conversations c
WHERE w.ticket = $1 AND c.id = w.conversation_id AND (SELECT count(*) FROM marked) >= 0
RETURNING (c.running_message_id IS NULL OR c.running_until <= clock_timestamp())
      AND NOT EXISTS (
          SELECT FROM waiting_turns o
          WHERE o.conversation_id = c.id AND o.ticket < w.ticket AND o.expires_at > clock_timestamp()
      ) AS ready
"""
_LOCK_CONVERSATION_OF_TICKET = """
SELECT c.id FROM conversations c JOIN waiting_turns w ON w.conversation_id = c.id
WHERE w.ticket = $1 FOR UPDATE OF c
"""
_DELETE_TICKET = "DELETE FROM waiting_turns WHERE ticket = $1"
# $1 conversation
_UPDATE_WAITING_UNTIL = """
UPDATE conversations c
SET waiting_until = (SELECT max(expires_at) FROM waiting_turns WHERE conversation_id = c.id) WHERE id = $1
"""


class WaitingTurnRepository:
    """All methods raise `Unavailable` if the database cannot be reached.

    Locks are taken in one order: the conversation's row, then tickets of its queue.
    """

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def enqueue(self, user_id: UUID, conversation_id: UUID, max_waiting: int) -> int | None:
        """Return a ticket at the end of the queue.

        None if `max_waiting` turns wait already or the conversation does not exist.
        """
        async with driver_connection(self._engine) as connection, connection.transaction():
            # The lock serializes counting and inserting.
            if await connection.fetchval(_LOCK_CONVERSATION, conversation_id, user_id) is None:
                return None
            await connection.execute(_DELETE_EXPIRED, conversation_id)
            ticket: int | None = await connection.fetchval(
                _ENQUEUE, conversation_id, TICKET_LEASE_SECONDS, max_waiting
            )
            if ticket is not None:
                await connection.execute(_MARK_WAITING, conversation_id, TICKET_LEASE_SECONDS)
        return ticket

    async def renew_ticket(self, ticket: int) -> bool | None:
        """Renew the ticket, and return whether it is first and the conversation is free.

        None if the ticket has expired.
        """
        async with driver_connection(self._engine) as connection:
            ready: bool | None = await connection.fetchval(_RENEW_TICKET, ticket, TICKET_LEASE_SECONDS)
        return ready

    async def dequeue(self, ticket: int) -> None:
        """Delete the ticket."""
        async with driver_connection(self._engine) as connection, connection.transaction():
            conversation_id = await connection.fetchval(_LOCK_CONVERSATION_OF_TICKET, ticket)
            if conversation_id is not None:
                await connection.execute(_DELETE_TICKET, ticket)
                await connection.execute(_UPDATE_WAITING_UNTIL, conversation_id)
