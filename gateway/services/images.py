"""Pictures that are kept: listed, read and deleted by the account they were made for."""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID

import structlog

from gateway.core.blob_store import BlobStore
from gateway.core.exceptions import NotFound
from gateway.domain.images import StoredImage
from gateway.domain.pages import Cursor, Page
from gateway.repositories.unit_of_work import UnitOfWork

log = structlog.get_logger(__name__)


class ImageService:
    """Every use case takes the owner, and another's picture is not found."""

    def __init__(self, uow: Callable[[], UnitOfWork], store: BlobStore) -> None:
        self._uow = uow
        self._store = store

    async def page(self, user_id: UUID, *, cursor: str | None, limit: int) -> Page[StoredImage]:
        """A page of the account's pictures, the last made first."""
        after = None if cursor is None else Cursor.decode(cursor)
        async with self._uow() as uow:
            rows = await uow.images.newest(user_id, after, limit + 1)
        return Page.of(rows, limit, lambda row: Cursor(row.created_at, row.id))

    async def read(self, user_id: UUID, image_id: UUID) -> tuple[StoredImage, bytes]:
        """A picture and its bytes. Raises NotFound, also where the file has gone."""
        async with self._uow() as uow:
            image = await uow.images.get(user_id, image_id)
        if image is None:
            raise NotFound
        content = await self._store.get(image.digest)
        if content is None:
            log.error("image_file_missing", image_id=str(image_id))
            raise NotFound
        return image, content

    async def delete(self, user_id: UUID, image_id: UUID) -> None:
        """Raises NotFound; the file goes with its last picture."""
        async with self._uow() as uow:
            digest = await uow.images.remove(user_id, image_id)
        if digest is None:
            raise NotFound
        await self.sweep({digest})

    async def digests_of(self, user_id: UUID) -> set[str]:
        """What `sweep` is to be given once the account's rows have gone."""
        async with self._uow() as uow:
            return await uow.images.digests_of(user_id)

    async def sweep(self, digests: set[str]) -> None:
        """Delete those files that no picture has any more."""
        if not digests:
            return
        async with self._uow() as uow:
            unused = digests - await uow.images.in_use(digests)
        for digest in unused:
            await self._store.remove(digest)
