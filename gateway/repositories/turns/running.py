"""Turns while they run: their texts so far, whether they are to stop, and those whose worker died."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.core.database import clean_text, driver_connection

# $1 answers, $2 lock tokens, $3 texts, $4 events: the news. $5 answers that run here. An answer is written to
# only while its turn holds the conversation; a row that someone holds is being ended.
_WRITE_PARTIAL_TEXTS = """
WITH news AS (
    SELECT * FROM unnest($1::uuid[], $2::bigint[], $3::text[], $4::int[]) AS n (id, token, content, events)
), held AS (
    SELECT m.id FROM news n JOIN messages m ON m.id = n.id
    JOIN conversations c
      ON c.id = m.conversation_id AND c.running_message_id = n.id AND c.lock_token = n.token
    WHERE m.status IN ('pending', 'streaming')
    FOR UPDATE OF m SKIP LOCKED
), flushed AS (
    UPDATE messages m SET content = n.content, events = n.events, status = 'streaming'
    FROM held JOIN news n ON n.id = held.id WHERE m.id = held.id
)
SELECT id FROM messages WHERE id = ANY($5::uuid[]) AND cancel_asked_at IS NOT NULL
"""
# $1 answer $2 user; the status as it was
_REQUEST_CANCELLATION = """
WITH found AS (
    SELECT id, status FROM messages WHERE id = $1 AND user_id = $2 AND role = 'assistant'
), asked AS (
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
# Rows that someone holds are being seen to by their holder. A new token shuts the old holder out.
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
    """An answer that is being written, up to event `events`; `lock_token` as in `OpenedTurn`."""

    message_id: UUID
    lock_token: int
    content: str
    events: int


class RunningTurnRepository:
    """Each method is one statement, on a connection of its own; all raise `Unavailable`."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def write_partial_texts(self, texts: Sequence[PartialText], running: Collection[UUID]) -> set[UUID]:
        """Write the texts down, as far as their turns still hold their conversations.

        Returns:
            Those of the answers `running` whose turns somebody wishes to stop.
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
        """Have the answer's turn stopped, wherever it runs; its status, None where it is not the user's."""
        async with driver_connection(self._engine) as connection:
            status: str | None = await connection.fetchval(_REQUEST_CANCELLATION, message_id, user_id)
        return status

    async def list_expired(self) -> list[UUID]:
        """Answers whose turn's lease has run out, some of them."""
        async with driver_connection(self._engine) as connection:
            return [row["running_message_id"] for row in await connection.fetch(_LIST_EXPIRED)]

    async def save_recovered_texts(self, texts: Sequence[PartialText]) -> None:
        """Give answers whose lease has run out the texts found elsewhere, where these go further."""
        async with driver_connection(self._engine) as connection:
            await connection.execute(
                _SAVE_RECOVERED_TEXTS,
                [text.message_id for text in texts],
                [clean_text(text.content) for text in texts],
                [text.events for text in texts],
            )

    async def release_expired(self) -> list[UUID]:
        """Free the conversations whose turn's process died; their answers, which become `interrupted`."""
        async with driver_connection(self._engine) as connection:
            return [row["running_message_id"] for row in await connection.fetch(_RELEASE_EXPIRED)]
