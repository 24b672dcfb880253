"""Identifiers: UUIDv7, which sort by creation time and keep index inserts local."""

from __future__ import annotations

import re
from uuid import UUID

from uuid_utils.compat import uuid7

from gateway.core.exceptions import NotFound

_CANONICAL = re.compile(r"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}")


def new_id() -> UUID:
    """Generate a UUIDv7 greater than all earlier ones of this process."""
    return uuid7()


def parse_id(text: str) -> UUID:
    """Parse an id in canonical form.

    Raises:
        NotFound: not an id, so nothing can be found under it.
    """
    # `UUID()` alone also accepts braces, "urn:uuid:", underscores and digits without dashes, which would give
    # one resource several names.
    if not _CANONICAL.fullmatch(text):
        raise NotFound()
    return UUID(text)
