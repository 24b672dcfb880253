"""Idempotent requests: their keys, and what makes two requests the same."""

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
    """A request with an idempotency key.

    Keys are unique within a `scope`, usually the account; `user_id` is None if there is no account yet.
    `content` identifies the request. Its response is stored for `retention_seconds`.
    """

    scope: bytes
    key: str
    content: bytes
    request_id: str
    user_id: UUID | None = None
    retention_seconds: float = RETENTION_SECONDS


@dataclass(frozen=True, slots=True)
class ResponseHead:
    """A response without its body. Header names are in lower case."""

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    streamed: bool = False

    def serialize(self, body: bytes) -> bytes:
        """The complete response for storage."""
        return orjson.dumps([self.status, self.headers, self.streamed]) + b"\n" + body

    @classmethod
    def deserialize(cls, stored: bytes) -> tuple[ResponseHead, bytes]:
        """The head and body that `serialize` was given."""
        line, _, body = stored.partition(b"\n")
        status, headers, streamed = orjson.loads(line)
        return cls(status, tuple((name, value) for name, value in headers), streamed), body


def parse_key(values: Iterable[str]) -> str | None:
    """The key in a request's headers; None without one.

    Raises:
        ValidationFailed: it is not 1 to 255 visible ASCII characters, or there are several keys.
    """
    keys = set(values)
    if not keys:
        return None
    key = keys.pop()
    if keys or not _KEY.fullmatch(key):
        raise ValidationFailed(
            "Send one Idempotency-Key of 1 to 255 visible ASCII characters.", param="Idempotency-Key"
        )
    return key


def canonical_request(method: str, path: str, body: object, variant: object = None) -> bytes:
    """Equal bytes for equal requests; the order of a body's fields does not matter.

    Args:
        variant: what else the response depends on.
    """
    return orjson.dumps(
        [method, path.rstrip("/"), variant, body], option=orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS
    )
