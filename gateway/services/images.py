"""Pictures that are kept: written down, listed, read and deleted by the account they were made for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Sequence
from datetime import UTC, datetime
from itertools import islice
from uuid import UUID

import structlog
from sqlalchemy.exc import IntegrityError

from gateway.core.blob_store import BlobStore
from gateway.core.exceptions import GatewayError, NotFound, Unavailable
from gateway.core.ids import new_id
from gateway.domain.images import ImageDone, StoredImage
from gateway.domain.ledger import UsageEntry
from gateway.domain.pages import Cursor, Page
from gateway.repositories.unit_of_work import UnitOfWork
from gateway.services.pictures import inspect

log = structlog.get_logger(__name__)

# A file of that age belongs to no request that is still under way.
_LEFT_OVER_SECONDS = 3600.0
_BATCH = 100


class ImageService:
    """Every use case takes the owner, and another's picture is not found.

    Accounts whose pictures are alike share a file. Who writes or deletes one holds its digest's lock until
    the rows agree, so that nobody's file goes while it is given to somebody else.
    """

    def __init__(self, uow: Callable[[], UnitOfWork], store: BlobStore, *, most_bytes: int) -> None:
        self._uow = uow
        self._store = store
        self._most_bytes = most_bytes

    async def keep(
        self, user_id: UUID, request_id: str, pictures: Sequence[ImageDone], prompt: str, call: UsageEntry
    ) -> tuple[StoredImage, ...]:
        """Look at every picture, then keep all of them; `call` says who made them.

        Raises:
            UpstreamBroken: one of them is no picture. Unavailable: they cannot be stored. Nothing is kept.
        """
        images = []
        for picture in pictures:
            seen = await asyncio.to_thread(inspect, picture.content, self._most_bytes)
            images.append(
                StoredImage(
                    id=new_id(),
                    digest=seen.digest,
                    content_type=seen.content_type,
                    width=seen.width,
                    height=seen.height,
                    size=len(picture.content),
                    prompt=prompt,
                    model=call.model,
                    provider=call.provider,
                    seed=picture.seed,
                    created_at=datetime.now(UTC),
                )
            )
        digests = {image.digest for image in images}
        try:
            async with self._uow() as uow:
                await uow.images.hold(digests)
                for picture in pictures:
                    await self._put(picture.content)
                await uow.images.add(user_id, request_id, images)
                await uow.budgets.store(user_id, sum(image.size for image in images))
        except GatewayError:
            await self.sweep_if_possible(digests)
            raise
        except IntegrityError as error:
            await self.sweep_if_possible(digests)
            raise Unavailable("The account ended while the picture was made.") from error
        return tuple(images)

    async def page(self, user_id: UUID, *, cursor: str | None, limit: int) -> Page[StoredImage]:
        """A page of the account's pictures, the last made first."""
        after = None if cursor is None else Cursor.decode(cursor)
        async with self._uow() as uow:
            rows = await uow.images.newest(user_id, after, limit + 1)
        return Page.of(rows, limit, lambda row: Cursor(row.created_at, row.id))

    async def find(self, user_id: UUID, image_id: UUID) -> StoredImage:
        """What is known of a picture. Raises NotFound."""
        async with self._uow() as uow:
            image = await uow.images.get(user_id, image_id)
        if image is None:
            raise NotFound
        return image

    async def content(self, image: StoredImage) -> bytes:
        """The picture's bytes.

        Raises:
            NotFound: the file has gone, or is not what was kept. Unavailable: it cannot be read.
        """
        try:
            content = await self._store.get(image.digest)
        except OSError as error:
            log.error("image_not_read", image_id=str(image.id), error=type(error).__name__)
            raise Unavailable("The picture cannot be read at the moment.") from error
        if content is None:
            log.error("image_file_missing", image_id=str(image.id))
            raise NotFound("The picture's file is lost.")
        return content

    async def delete(self, user_id: UUID, image_id: UUID) -> None:
        """Raises NotFound; the file goes with its last picture."""
        async with self._uow() as uow:
            removed = await uow.images.remove(user_id, image_id)
            if removed is None:
                raise NotFound
            digest, size = removed
            await uow.budgets.store(user_id, -size)
        await self.sweep_if_possible({digest})

    async def sweep(self, digests: Collection[str]) -> None:
        """Delete those files that no picture has any more.

        Raises:
            Unavailable: the database cannot be reached. OSError: a file cannot be deleted.
        """
        left = iter(sorted(digests))
        while batch := set(islice(left, _BATCH)):
            async with self._uow() as uow:
                await uow.images.hold(batch)
                for digest in batch - await uow.images.in_use(batch):
                    await self._store.remove(digest)

    async def _put(self, content: bytes) -> None:
        try:
            await self._store.put(content)
        except OSError as error:
            log.error("image_not_stored", error=type(error).__name__, errno=error.errno)
            raise Unavailable("The picture cannot be stored at the moment.") from error

    async def sweep_if_possible(self, digests: Collection[str]) -> None:
        """What cannot be deleted now is left to `tidy`."""
        try:
            await self.sweep(digests)
        except (GatewayError, OSError) as error:
            log.warning("image_files_left", count=len(digests), error=type(error).__name__)

    async def tidy(self) -> None:
        """Delete what a crash may have left: half-written files, and files that no picture has.

        Raises:
            as `sweep`.
        """
        left = iter(await self._store.left_over(_LEFT_OVER_SECONDS))
        while batch := set(islice(left, _BATCH)):
            async with self._uow() as uow:
                unused = batch - await uow.images.in_use(batch)
            if unused:
                await self.sweep(unused)
