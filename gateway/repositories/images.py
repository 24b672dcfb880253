"""Queries of generated images, each restricted to its account."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from uuid import UUID

from sqlalchemy import ARRAY, BigInteger, cast, delete, func, insert, literal, select, tuple_

from gateway.domain.images import StoredImage
from gateway.domain.pagination import Cursor
from gateway.models.image import Image as Table
from gateway.repositories.base import Repository

_COLUMNS = (
    Table.id,
    Table.digest,
    Table.content_type,
    Table.width,
    Table.height,
    Table.size,
    Table.prompt,
    Table.model,
    Table.provider,
    Table.seed,
    Table.created_at,
)


class ImageRepository(Repository):
    """Images of one account; None for those missing or of another account."""

    async def add(self, user_id: UUID, request_id: str, images: Sequence[StoredImage]) -> None:
        """Insert the images of one request, all or none."""
        await self._session.execute(
            insert(Table),
            [
                {
                    "id": image.id,
                    "user_id": user_id,
                    "digest": image.digest,
                    "content_type": image.content_type,
                    "width": image.width,
                    "height": image.height,
                    "size": image.size,
                    "prompt": image.prompt,
                    "model": image.model,
                    "provider": image.provider,
                    "seed": image.seed,
                    "request_id": request_id,
                    "created_at": image.created_at,
                }
                for image in images
            ],
        )

    async def get(self, user_id: UUID, image_id: UUID) -> StoredImage | None:
        statement = select(*_COLUMNS).where(Table.id == image_id, Table.user_id == user_id)
        row = (await self._session.execute(statement)).one_or_none()
        return None if row is None else StoredImage(*row)

    async def list_recent(self, user_id: UUID, after: Cursor | None, limit: int) -> list[StoredImage]:
        """Return at most `limit` images after `after`, newest first."""
        statement = select(*_COLUMNS).where(Table.user_id == user_id)
        if after is not None:
            position = tuple_(literal(after.at), literal(after.id))
            statement = statement.where(tuple_(Table.created_at, Table.id) < position)
        statement = statement.order_by(Table.created_at.desc(), Table.id.desc()).limit(limit)
        return [StoredImage(*row) for row in await self._session.execute(statement)]

    async def delete(self, user_id: UUID, image_id: UUID) -> tuple[str, int] | None:
        """Delete the row; returns its digest and its size."""
        statement = (
            delete(Table)
            .where(Table.id == image_id, Table.user_id == user_id)
            .returning(Table.digest, Table.size)
        )
        row = (await self._session.execute(statement)).one_or_none()
        return None if row is None else (row[0], row[1])

    async def lock_digests(self, digests: Collection[str]) -> None:
        """Lock files with these digests until the unit of work ends."""
        keys = sorted(int.from_bytes(bytes.fromhex(digest[:16]), "big", signed=True) for digest in digests)
        key = func.unnest(cast(keys, ARRAY(BigInteger))).column_valued("key")
        await self._session.execute(select(func.pg_advisory_xact_lock(key)))

    async def list_digests(self, user_id: UUID) -> set[str]:
        """Return the digests of all of the account's images."""
        return set(await self._session.scalars(select(Table.digest).where(Table.user_id == user_id)))

    async def filter_referenced(self, digests: Collection[str]) -> set[str]:
        """Return those of `digests` that an image of any account still references."""
        statement = select(Table.digest).where(Table.digest.in_(list(digests))).distinct()
        return set(await self._session.scalars(statement))
