"""Semantic cache: answers by their question's embedding; requires pgvector."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

import asyncpg
import numpy as np
import numpy.typing as npt
from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.core.database import clean_text, driver_connection
from gateway.core.ids import new_id
from gateway.models.response_embedding import CREATE_TABLE, TABLE

Vector = npt.NDArray[np.float32]

_TABLE_EXISTS = f"SELECT to_regclass('{TABLE}') IS NOT NULL"

# $1 account $2 scope $3 vector $4 limit $5 minimum similarity. Every row of the scope is scanned: an account
# has a few thousand at most, and a nearest-neighbour index over all accounts would miss this account's rows.
_FIND_SIMILAR = """
SELECT question, answer, similarity FROM (
    SELECT question, answer, 1 - (embedding <=> $3::text::vector) AS similarity
    FROM response_embeddings
    WHERE user_id = $1 AND scope = $2 AND expires_at > now()
    ORDER BY embedding <=> $3::text::vector LIMIT $4
) AS near
WHERE similarity >= $5 ORDER BY similarity DESC
"""
# $1 id $2 account $3 scope $4 question $5 vector $6 answer $7 ttl in seconds $8 maximum entries. A question
# is stored once. Surplus entries of the account are deleted, oldest first, and expired entries of all
# accounts.
_STORE = """
WITH stored AS (
    INSERT INTO response_embeddings (id, user_id, scope, question, embedding, answer, expires_at)
    VALUES ($1, $2, $3, $4, $5::text::vector, $6, now() + make_interval(secs => $7))
    ON CONFLICT (user_id, scope, question) DO UPDATE
    SET id = excluded.id, answer = excluded.answer, expires_at = excluded.expires_at
)
DELETE FROM response_embeddings
WHERE (
    id IN (SELECT id FROM response_embeddings
           WHERE user_id = $2 AND NOT (scope = $3 AND question = $4)
           ORDER BY id DESC OFFSET $8 - 1 FOR UPDATE SKIP LOCKED)
    OR id IN (SELECT id FROM response_embeddings WHERE expires_at <= now() LIMIT 100 FOR UPDATE SKIP LOCKED)
) AND NOT (user_id = $2 AND scope = $3 AND question = $4)
"""


@dataclass(frozen=True, slots=True)
class SimilarAnswer:
    """A stored answer and its question; `similarity` is the cosine of the embeddings."""

    question: str
    answer: bytes
    similarity: float


class ResponseEmbeddingRepository:
    """Single statements on connections of their own; all raise `Unavailable`."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def ensure_table(self) -> bool:
        """Whether the table exists.

        Creates it if pgvector was installed after the migration.
        """
        async with driver_connection(self._engine) as connection:
            if not await connection.fetchval(_TABLE_EXISTS):
                await connection.execute(CREATE_TABLE)
            return bool(await connection.fetchval(_TABLE_EXISTS))

    async def find_similar(
        self, account: UUID, scope: bytes, vector: Vector, *, limit: int, min_similarity: float
    ) -> list[SimilarAnswer]:
        """Return up to `limit` answers of the account within `scope`, nearest first."""
        async with driver_connection(self._engine) as connection:
            rows = await connection.fetch(_FIND_SIMILAR, account, scope, _text(vector), limit, min_similarity)
        return [SimilarAnswer(row["question"], row["answer"], row["similarity"]) for row in rows]

    # One parameter for each column of the row.
    async def store(
        self,
        account: UUID,
        scope: bytes,
        question: str,
        vector: Vector,
        answer: bytes,
        *,
        ttl_seconds: int,
        max_entries: int,
    ) -> None:
        """Store an answer; does nothing if the account was deleted."""
        async with driver_connection(self._engine) as connection:
            try:
                await connection.execute(
                    _STORE,
                    new_id(),
                    account,
                    scope,
                    clean_text(question),
                    _text(vector),
                    answer,
                    ttl_seconds,
                    max_entries,
                )
            except asyncpg.ForeignKeyViolationError:
                return


def _text(vector: Vector) -> str:
    return "[" + ",".join(map(repr, vector.tolist())) + "]"
