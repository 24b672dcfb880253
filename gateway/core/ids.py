"""Identifiers: UUIDv7, so that rows made later sort later and indexes grow at one end."""

from __future__ import annotations

from uuid import UUID

from uuid_utils.compat import uuid7

from gateway.core.exceptions import NotFound


def new_id() -> UUID:
    """A new UUIDv7; ids made later by this process compare greater."""
    return uuid7()


def parse_id(text: str) -> UUID:
    """The id that a client wrote in its canonical form.

    Raises:
        NotFound: it is no such id; nothing can be found under it.
    """
    # The longest form is 36 characters: an id of 5 KB is refused unread. `UUID()` alone would also take
    # braces, "urn:uuid:" and digits without dashes, which would give one thing several names.
    if len(text) != 36 or text[8] != "-":
        raise NotFound()
    try:
        return UUID(text)
    except ValueError:
        raise NotFound() from None
