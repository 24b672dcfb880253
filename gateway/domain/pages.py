"""Pages of a list: a cursor says after which row the next page begins, so that new rows shift nothing."""

from __future__ import annotations

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Generic, TypeVar
from uuid import UUID
from zlib import crc32

from gateway.core.exceptions import ValidationFailed

T = TypeVar("T")

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_FORM = re.compile(r"[A-Za-z0-9_-]{36}")


@dataclass(frozen=True, slots=True)
class Cursor:
    """The sort key of the last row of a page: a time, then an id where times are equal."""

    at: datetime
    id: UUID

    def encode(self) -> str:
        """36 characters that clients hand back as they are."""
        micros = (self.at - _EPOCH) // _MICROSECOND
        key = micros.to_bytes(8, "big", signed=True) + self.id.bytes
        return urlsafe_b64encode(key + _checksum(key)).decode()

    @classmethod
    def decode(cls, text: str) -> Cursor:
        """Raises `ValidationFailed` with the param `cursor` for anything that `encode` did not make."""
        if _FORM.fullmatch(text):
            raw = urlsafe_b64decode(text)
            key, sum_given = raw[:24], raw[24:]
            if _checksum(key) == sum_given:
                micros = int.from_bytes(key[:8], "big", signed=True)
                with suppress(OverflowError):
                    return cls(_EPOCH + _MICROSECOND * micros, UUID(bytes=key[8:]))
        raise ValidationFailed("cursor: This is not a cursor that this gateway gave out.", param="cursor")


def _checksum(key: bytes) -> bytes:
    # Against typing and cutting, not against forging: a forged cursor shows nobody more than a page.
    return crc32(key).to_bytes(4, "big")[:3]


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """One page; `next_cursor` is None on the last one."""

    items: Sequence[T]
    next_cursor: str | None

    @classmethod
    def of(cls, rows: Sequence[T], limit: int, key: Callable[[T], Cursor]) -> Page[T]:
        """A page of `limit` rows out of a query for `limit + 1`, whose last row only tells of a next page."""
        if len(rows) <= limit:
            return cls(rows, None)
        return cls(rows[:limit], key(rows[limit - 1]).encode())
