"""Idempotency keys: which worker handles a request, and its recorded response.

Every method is one statement.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from uuid import UUID

import asyncpg
from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.core.database import driver_connection
from gateway.core.exceptions import NotFound

# $1 id $2 user $3 fingerprint $4 holder $5 request id $6 lease and $7 retention, in seconds. A row is taken
# over if it has expired, or if its holder died while handling the same request. A row that another
# transaction has just inserted is not in this statement's snapshot: then no row is returned.
_CLAIM = """
WITH claimed AS (
    INSERT INTO idempotency_keys AS k (id, user_id, fingerprint, holder, request_id, held_until, expires_at)
    VALUES ($1, $2, $3, $4, $5, now() + make_interval(secs => $6), now() + make_interval(secs => $7))
    ON CONFLICT (id) DO UPDATE
    SET user_id = excluded.user_id, fingerprint = excluded.fingerprint, holder = excluded.holder,
        request_id = excluded.request_id, held_until = excluded.held_until, answer = NULL,
        created_at = now(), expires_at = excluded.expires_at
    WHERE (k.answer IS NULL AND k.held_until < clock_timestamp() AND k.fingerprint = excluded.fingerprint)
       OR (k.expires_at < clock_timestamp() AND (k.answer IS NOT NULL OR k.held_until < clock_timestamp()))
    RETURNING holder
)
SELECT true AS claimed, NULL::bytea AS fingerprint, NULL::bytea AS answer, false AS abandoned, holder
FROM claimed
UNION ALL
SELECT false, fingerprint, answer, answer IS NULL AND held_until < clock_timestamp(), holder
FROM idempotency_keys WHERE id = $1 AND NOT EXISTS (SELECT FROM claimed)
"""
_GET = """
SELECT false AS claimed, fingerprint, answer, answer IS NULL AND held_until < clock_timestamp() AS abandoned,
       holder
FROM idempotency_keys WHERE id = $1 AND (answer IS NULL OR expires_at > clock_timestamp())
"""
# $1 id $2 holder $3 answer $4 account
_STORE = """
UPDATE idempotency_keys SET answer = $3, held_until = NULL, user_id = coalesce($4::uuid, user_id)
WHERE id = $1 AND holder = $2
"""
_RELEASE = "DELETE FROM idempotency_keys WHERE id = $1 AND holder = $2 AND answer IS NULL"
# $1 holders $2 ids $3 lease in seconds
_RENEW_LEASES = """
UPDATE idempotency_keys SET held_until = now() + make_interval(secs => $3)
WHERE id = ANY($2::bytea[]) AND holder = ANY($1::uuid[]) AND answer IS NULL
"""
_DELETE_EXPIRED = """
DELETE FROM idempotency_keys
WHERE id IN (SELECT id FROM idempotency_keys
             WHERE expires_at < now() AND (answer IS NOT NULL OR held_until < now())
             LIMIT 1000 FOR UPDATE SKIP LOCKED)
"""


@dataclass(frozen=True, slots=True)
class KeyState:
    """State of a key: claimed by this caller, or its request and response.

    `abandoned`: its holder has not renewed the lease.
    """

    claimed: bool
    holder: UUID
    fingerprint: bytes | None = None
    answer: bytes | None = None
    abandoned: bool = False


class IdempotencyRepository:
    """All methods raise `Unavailable` if the database cannot be reached."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    # One keyword for each column of the row.
    async def claim(
        self,
        id_: bytes,
        fingerprint: bytes,
        holder: UUID,
        *,
        user_id: UUID | None,
        request_id: str,
        retention_seconds: float,
        lease_seconds: float,
    ) -> KeyState | None:
        """Claim the key for a lease unless another request holds it.

        None means: try again.

        Raises:
            NotFound: the account was deleted.
        """
        arguments = (id_, user_id, fingerprint, holder, request_id, lease_seconds, retention_seconds)
        async with driver_connection(self._engine) as connection:
            try:
                row = await connection.fetchrow(_CLAIM, *arguments)
            except asyncpg.ForeignKeyViolationError:
                raise NotFound("The account was deleted.") from None
        return _state(row)

    async def get(self, id_: bytes) -> KeyState | None:
        """Return the key's state without claiming it; None if the key is unused."""
        async with driver_connection(self._engine) as connection:
            return _state(await connection.fetchrow(_GET, id_))

    async def store(self, id_: bytes, holder: UUID, answer: bytes, owner: UUID | None = None) -> None:
        """Store the response for later requests.

        `owner` is the account it created, if any.

        Safe to repeat.
        """
        async with driver_connection(self._engine) as connection:
            await connection.execute(_STORE, id_, holder, answer, owner)

    async def release(self, id_: bytes, holder: UUID) -> None:
        """Release the key, so that the next request with it runs. Safe to repeat."""
        async with driver_connection(self._engine) as connection:
            await connection.execute(_RELEASE, id_, holder)

    async def renew_leases(self, held: Collection[tuple[bytes, UUID]], lease_seconds: float) -> None:
        """Renew the leases of (id, holder) pairs."""
        holders, ids = [holder for _, holder in held], [id_ for id_, _ in held]
        async with driver_connection(self._engine) as connection:
            await connection.execute(_RENEW_LEASES, holders, ids, lease_seconds)

    async def delete_expired(self) -> None:
        """Delete expired keys."""
        async with driver_connection(self._engine) as connection:
            while (await connection.execute(_DELETE_EXPIRED)) == "DELETE 1000":
                continue


def _state(row: asyncpg.Record | None) -> KeyState | None:
    return None if row is None else KeyState(**row)
