"""Identifiers: UUIDv7, so that rows made later sort later and indexes grow at one end."""

from __future__ import annotations

import re
from uuid import UUID

from uuid_utils.compat import uuid7

from gateway.core.exceptions import NotFound

_CANONICAL = re.compile(r"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}")


def new_id() -> UUID:
    """A new UUIDv7; ids made later by this process compare greater."""
    return uuid7()


def parse_id(text: str) -> UUID:
    """The id that a client wrote in its canonical form.

    Raises:
        NotFound: it is no such id; nothing can be found under it.
    """
    # `UUID()` alone would also take braces, "urn:uuid:", underscores and digits without dashes, which would
    # give one thing several names.
    if not _CANONICAL.fullmatch(text):
        raise NotFound()
    return UUID(text)
