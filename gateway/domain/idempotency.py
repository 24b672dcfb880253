"""Requests that are to be done once: their keys, and what two of them have to share to be the same."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from uuid import UUID

import orjson

from gateway.core.exceptions import ValidationFailed

HEADER = "idempotency-key"
RETENTION_SECONDS = 86_400.0
_KEY = re.compile(r"[\x21-\x7e]{1,255}")


@dataclass(frozen=True, slots=True)
class IdempotentRequest:
    """A request with a key of its account's.

    `scope` is whose keys it is one of; `user_id` is None where there is no account yet. `content` is all that
    makes it this request and no other. What is kept of it is kept for `kept_seconds`.
    """

    scope: bytes
    key: str
    content: bytes
    request_id: str
    user_id: UUID | None = None
    retention_seconds: float = RETENTION_SECONDS


@dataclass(frozen=True, slots=True)
class ResponseHead:
    """How an answer begins: what a response has before its body. Header names are in lower case."""

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    streamed: bool = False

    def serialize(self, body: bytes) -> bytes:
        """The whole answer as it is kept."""
        return orjson.dumps([self.status, self.headers, self.streamed]) + b"\n" + body

    @classmethod
    def deserialize(cls, kept: bytes) -> tuple[ResponseHead, bytes]:
        """What `with_body` made bytes of."""
        line, _, body = kept.partition(b"\n")
        status, headers, streamed = orjson.loads(line)
        return cls(status, tuple((name, value) for name, value in headers), streamed), body


def parse_key(values: Iterable[str]) -> str | None:
    """The key of a request's headers; None where it has none.

    Raises:
        ValidationFailed: it is no key (1 to 255 visible ASCII characters), or there are two.
    """
    keys = set(values)
    if not keys:
        return None
    key = keys.pop()
    if keys or not _KEY.fullmatch(key):
        raise ValidationFailed(
            "One key of 1 to 255 visible ASCII characters is read here.", param="Idempotency-Key"
        )
    return key


def canonical_request(method: str, path: str, body: object, variant: object = None) -> bytes:
    """What two requests share that ask for the same thing; the order of a body's fields is nothing.

    Args:
        variant: what else of the request the answer depends on.
    """
    return orjson.dumps(
        [method, path.rstrip("/"), variant, body], option=orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS
    )
