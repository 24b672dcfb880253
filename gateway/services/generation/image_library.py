"""Stored images: saved, listed, read and deleted per account."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from itertools import islice
from uuid import UUID

import structlog
from sqlalchemy.exc import IntegrityError

from gateway.core.blob_store import BlobStore
from gateway.core.exceptions import GatewayError, NotFound, Unavailable
from gateway.core.ids import new_id
from gateway.domain.images import ImageCompleted, StoredImage
from gateway.domain.pagination import Cursor, Page
from gateway.domain.usage.turn_records import UsageEntry
from gateway.repositories.unit_of_work import UnitOfWorkFactory
from gateway.services.generation.image_inspection import inspect_image

log = structlog.get_logger(__name__)

# A file of this age belongs to no running request.
_ORPHAN_AGE_SECONDS = 3600.0
_BATCH_SIZE = 100


class ImageLibrary:
    """Stores images. Every method takes the owner.

    Images of other accounts are not found.

    Identical images share one file. Writing and deleting a file holds a lock on its digest until commit, so
    that a file is never deleted while another account starts to use it.
    """

    def __init__(self, uow: UnitOfWorkFactory, files: BlobStore, *, max_bytes: int) -> None:
        self._uow = uow
        self._files = files
        self._max_bytes = max_bytes

    async def store(
        self, user_id: UUID, request_id: str, images: Sequence[ImageCompleted], prompt: str, call: UsageEntry
    ) -> tuple[StoredImage, ...]:
        """Inspect all images, then store all of them.

        `call` is the model call that created them.

        Raises:
            UpstreamBroken: one of them is not an image; none is stored.
            Unavailable: they cannot be stored; none is.
        """
        stored = []
        for completed in images:
            info = await asyncio.to_thread(inspect_image, completed.content, self._max_bytes)
            stored.append(
                StoredImage(
                    id=new_id(),
                    digest=info.digest,
                    content_type=info.content_type,
                    width=info.width,
                    height=info.height,
                    size=len(completed.content),
                    prompt=prompt,
                    model=call.model,
                    provider=call.provider,
                    seed=completed.seed,
                    created_at=datetime.now(UTC),
                )
            )
        digests = {image.digest for image in stored}
        try:
            async with self._uow() as uow:
                await uow.images.lock_digests(digests)
                for completed in images:
                    await self._write_file(completed.content)
                await uow.images.add(user_id, request_id, stored)
                await uow.budgets.add_stored_bytes(user_id, sum(image.size for image in stored))
        except GatewayError:
            await self.try_delete_unreferenced(digests)
            raise
        except IntegrityError as error:
            await self.try_delete_unreferenced(digests)
            raise Unavailable("The account was deleted while the image was generated.") from error
        return tuple(stored)

    async def list_images(self, user_id: UUID, *, cursor: str | None, limit: int) -> Page[StoredImage]:
        """List the account's images, newest first."""
        after = None if cursor is None else Cursor.decode(cursor)
        async with self._uow() as uow:
            rows = await uow.images.list_recent(user_id, after, limit + 1)
        return Page.from_rows(rows, limit, lambda row: Cursor(row.created_at, row.id))

    async def get(self, user_id: UUID, image_id: UUID) -> StoredImage:
        """Return an image's metadata. Raises NotFound."""
        async with self._uow() as uow:
            image = await uow.images.get(user_id, image_id)
        if image is None:
            raise NotFound
        return image

    async def read(self, image: StoredImage) -> bytes:
        """Read the image file.

        Raises:
            NotFound: the file is missing or does not match its digest.
            Unavailable: the file cannot be read.
        """
        try:
            content = await self._files.get(image.digest)
        except OSError as error:
            log.error("image.read_failed", image_id=str(image.id), error=type(error).__name__)
            raise Unavailable("The image cannot be read at the moment. Try again later.") from error
        if content is None:
            log.error("image.file_missing", image_id=str(image.id))
            raise NotFound("The image file is missing.")
        return content

    async def delete(self, user_id: UUID, image_id: UUID) -> None:
        """Delete an image, and its file if no other image uses it. Raises NotFound."""
        async with self._uow() as uow:
            removed = await uow.images.delete(user_id, image_id)
            if removed is None:
                raise NotFound
            digest, size = removed
            await uow.budgets.add_stored_bytes(user_id, -size)
        await self.try_delete_unreferenced({digest})

    async def delete_unreferenced(self, digests: Collection[str]) -> None:
        """Delete the files that no image refers to.

        Raises:
            Unavailable: the database cannot be reached.
            OSError: a file cannot be deleted.
        """
        remaining = iter(sorted(digests))
        while batch := set(islice(remaining, _BATCH_SIZE)):
            async with self._uow() as uow:
                await uow.images.lock_digests(batch)
                for digest in batch - await uow.images.filter_referenced(batch):
                    await self._files.delete(digest)

    async def _write_file(self, content: bytes) -> None:
        try:
            await self._files.put(content)
        except OSError as error:
            log.error("image.store_failed", error=type(error).__name__, errno=error.errno)
            raise Unavailable("The image cannot be stored at the moment. Try again later.") from error

    async def try_delete_unreferenced(self, digests: Collection[str]) -> None:
        """Delete unreferenced files; what fails is left to `delete_orphans`."""
        try:
            await self.delete_unreferenced(digests)
        except (GatewayError, OSError) as error:
            log.warning("image.delete_failed", count=len(digests), error=type(error).__name__)

    async def delete_orphans(self) -> None:
        """Delete partially written and unreferenced files that a crash left.

        Raises:
            Unavailable, OSError: like `delete_unreferenced`.
        """
        remaining = iter(await self._files.older_than(_ORPHAN_AGE_SECONDS))
        while batch := set(islice(remaining, _BATCH_SIZE)):
            async with self._uow() as uow:
                unreferenced = batch - await uow.images.filter_referenced(batch)
            if unreferenced:
                await self.delete_unreferenced(unreferenced)
