"""Keyset pagination: a cursor names the last row, so new rows shift no page."""

from __future__ import annotations

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Generic, TypeVar
from uuid import UUID
from zlib import crc32

from gateway.core.exceptions import ValidationFailed

T = TypeVar("T")

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_CURSOR_PATTERN = re.compile(r"[A-Za-z0-9_-]{36}")
_TOTALS_CURSOR_PATTERN = re.compile(r"[A-Za-z0-9_-]{31,1000}")


@dataclass(frozen=True, slots=True)
class Cursor:
    """The sort key of a page's last row: a time, and an id for equal times."""

    at: datetime
    id: UUID

    def encode(self) -> str:
        """Encode as 36 characters, opaque to clients."""
        micros = (self.at - _EPOCH) // _MICROSECOND
        key = micros.to_bytes(8, "big", signed=True) + self.id.bytes
        return urlsafe_b64encode(key + _checksum(key)).decode()

    @classmethod
    def decode(cls, text: str) -> Cursor:
        """Decode a cursor.

        Raises ValidationFailed with the param `cursor` if it is not valid.
        """
        if _CURSOR_PATTERN.fullmatch(text):
            raw = urlsafe_b64decode(text)
            key, sum_given = raw[:24], raw[24:]
            if _checksum(key) == sum_given:
                micros = int.from_bytes(key[:8], "big", signed=True)
                with suppress(OverflowError):
                    return cls(_EPOCH + _MICROSECOND * micros, UUID(bytes=key[8:]))
        raise ValidationFailed("cursor: This is not a cursor of this gateway.", param="cursor")


@dataclass(frozen=True, slots=True)
class TotalsCursor:
    """A position in a list of totals: a day, a model, an account (None: deleted)."""

    day: date
    model: str
    user_id: UUID | None

    def encode(self) -> str:
        """Encode as characters that are opaque to clients."""
        user = self.user_id.bytes if self.user_id is not None else bytes(16)
        key = self.day.toordinal().to_bytes(4, "big") + user + self.model.encode()
        return urlsafe_b64encode(key + _checksum(key)).decode().rstrip("=")

    @classmethod
    def decode(cls, text: str) -> TotalsCursor:
        """Decode a cursor.

        Raises ValidationFailed with the param `cursor` if it is not valid.
        """
        if _TOTALS_CURSOR_PATTERN.fullmatch(text) and len(text) % 4 != 1:
            raw = urlsafe_b64decode(text + "=" * (-len(text) % 4))
            key, sum_given = raw[:-3], raw[-3:]
            if _checksum(key) == sum_given:
                with suppress(ValueError, OverflowError):
                    user = UUID(bytes=key[4:20])
                    day = date.fromordinal(int.from_bytes(key[:4], "big"))
                    return cls(day, key[20:].decode().replace("\x00", ""), user if user.int else None)
        raise ValidationFailed("cursor: This is not a cursor of this gateway.", param="cursor")


def _checksum(key: bytes) -> bytes:
    # Detects typos and truncation, not forgery: a forged cursor reveals nothing.
    return crc32(key).to_bytes(4, "big")[:3]


@dataclass(frozen=True, slots=True)
class ListSlice(Generic[T]):
    """Part of a list; `has_more` says whether other rows follow."""

    items: Sequence[T]
    has_more: bool


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """One page; `next_cursor` is None on the last one."""

    items: Sequence[T]
    next_cursor: str | None

    @classmethod
    def from_rows(cls, rows: Sequence[T], limit: int, key: Callable[[T], Cursor | TotalsCursor]) -> Page[T]:
        """Make a page of `limit` rows from a query for `limit + 1`."""
        if len(rows) <= limit:
            return cls(rows, None)
        return cls(rows[:limit], key(rows[limit - 1]).encode())

    @classmethod
    def from_slice(cls, slice_: ListSlice[T], key: Callable[[T], Cursor]) -> Page[T]:
        """Make a page from a slice, which may be shorter than requested."""
        return cls(slice_.items, key(slice_.items[-1]).encode() if slice_.has_more else None)
