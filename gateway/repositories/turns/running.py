"""Running turns: partial texts, cancellation requests, expired leases."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.core.database import clean_text, driver_connection

# $1 answers, $2 lock tokens, $3 texts, $4 events: the updates. $5 answers that run here. An answer is updated
# only while its turn holds the conversation's lock; a locked row is being closed and is skipped.
_WRITE_PARTIAL_TEXTS = """
WITH news AS (
    SELECT * FROM unnest($1::uuid[], $2::bigint[], $3::text[], $4::int[]) AS n (id, token, content, events)
), locked AS (
    SELECT m.id FROM news n JOIN messages m ON m.id = n.id
    JOIN conversations c
      ON c.id = m.conversation_id AND c.running_message_id = n.id AND c.lock_token = n.token
    WHERE m.status IN ('pending', 'streaming')
    FOR UPDATE OF m SKIP LOCKED
), flushed AS (
    UPDATE messages m SET content = n.content, events = n.events, status = 'streaming'
    FROM locked JOIN news n ON n.id = locked.id WHERE m.id = locked.id
)
SELECT id FROM messages WHERE id = ANY($5::uuid[]) AND cancel_asked_at IS NOT NULL
"""
# $1 answer $2 user. Returns the previous status.
_REQUEST_CANCELLATION = """
WITH found AS (
    SELECT id, status FROM messages WHERE id = $1 AND user_id = $2 AND role = 'assistant'
), requested AS (
    UPDATE messages m SET cancel_asked_at = now()
    FROM found WHERE m.id = found.id AND m.status IN ('pending', 'streaming') AND m.cancel_asked_at IS NULL
)
SELECT status FROM found
"""
_LIST_EXPIRED = """
SELECT running_message_id FROM conversations
WHERE running_message_id IS NOT NULL AND running_until < now() LIMIT 100
"""
# $1 answers $2 texts $3 events
_SAVE_RECOVERED_TEXTS = """
UPDATE messages m SET content = n.content, events = n.events
FROM unnest($1::uuid[], $2::text[], $3::int[]) AS n (id, content, events)
JOIN conversations c ON c.running_message_id = n.id AND c.running_until < now()
WHERE m.id = n.id AND m.events < n.events AND m.status IN ('pending', 'streaming')
"""
# Locked rows are being handled by their holder. A new lock token fences off the old holder.
_RELEASE_EXPIRED = """
WITH expired AS (
    SELECT id, running_message_id FROM conversations
    WHERE running_message_id IS NOT NULL AND running_until < now()
    FOR UPDATE SKIP LOCKED
), abandoned AS (
    UPDATE messages m SET status = 'interrupted', completed_at = now()
    FROM expired WHERE m.id = expired.running_message_id AND m.status IN ('pending', 'streaming')
), released AS (
    UPDATE conversations c
    SET running_message_id = NULL, running_until = NULL, lock_token = c.lock_token + 1
    FROM expired WHERE c.id = expired.id
)
SELECT running_message_id FROM expired
"""


class PartialText(NamedTuple):
    """The text of a running answer up to event `events`.

    `lock_token` as in `OpenedTurn`.
    """

    message_id: UUID
    lock_token: int
    content: str
    events: int


class RunningTurnRepository:
    """Each method is one statement on a connection of its own.

    All raise `Unavailable`.
    """

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def write_partial_texts(self, texts: Sequence[PartialText], running: Collection[UUID]) -> set[UUID]:
        """Store the texts of turns that still hold their conversations' locks.

        Returns:
            The answers among `running` whose cancellation was requested.
        """
        async with driver_connection(self._engine) as connection:
            rows = await connection.fetch(
                _WRITE_PARTIAL_TEXTS,
                [text.message_id for text in texts],
                [text.lock_token for text in texts],
                [clean_text(text.content) for text in texts],
                [text.events for text in texts],
                list(running),
            )
        return {row["id"] for row in rows}

    async def request_cancellation(self, user_id: UUID, message_id: UUID) -> str | None:
        """Request the cancellation of the answer's turn, on any worker.

        Returns the answer's status; None if it does not belong to the user.
        """
        async with driver_connection(self._engine) as connection:
            status: str | None = await connection.fetchval(_REQUEST_CANCELLATION, message_id, user_id)
        return status

    async def list_expired(self) -> list[UUID]:
        """Return some of the answers whose turn's lease has expired."""
        async with driver_connection(self._engine) as connection:
            return [row["running_message_id"] for row in await connection.fetch(_LIST_EXPIRED)]

    async def save_recovered_texts(self, texts: Sequence[PartialText]) -> None:
        """Store recovered texts of answers whose lease has expired, if they are longer."""
        async with driver_connection(self._engine) as connection:
            await connection.execute(
                _SAVE_RECOVERED_TEXTS,
                [text.message_id for text in texts],
                [clean_text(text.content) for text in texts],
                [text.events for text in texts],
            )

    async def release_expired(self) -> list[UUID]:
        """Unlock conversations of dead processes.

        Returns their answers, now `interrupted`.
        """
        async with driver_connection(self._engine) as connection:
            return [row["running_message_id"] for row in await connection.fetch(_RELEASE_EXPIRED)]
