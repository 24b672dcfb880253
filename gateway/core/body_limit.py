"""Size limit of one request body. A route may lower it before the body is read."""

from __future__ import annotations

from typing import Final

from starlette.exceptions import HTTPException
from starlette.types import Scope

SMALL_BODY: Final = 64 * 1024
# A system prompt of 100,000 characters, each as an escaped surrogate pair.
MEDIUM_BODY: Final = 2 * 1024 * 1024
LARGE_BODY: Final = 10 * 1024 * 1024
_STATE_KEY: Final = "body_allowance"


class RequestBodyLimit:
    """The body size limit of one request, and the size announced or received so far."""

    def __init__(self, limit: int, announced: int) -> None:
        self.limit = limit
        self._size = announced

    @property
    def exceeded(self) -> bool:
        return self._size > self.limit

    def record_received(self, total: int) -> None:
        """Record that `total` bytes have been received so far.

        Raises:
            HTTPException: 413. FastAPI's body parsing passes only this exception class through.
        """
        self._size = max(self._size, total)
        if self.exceeded:
            raise HTTPException(413)

    def lower(self, limit: int) -> None:
        """Accept at most `limit` bytes. Raises like `record_received`."""
        self.limit = min(self.limit, limit)
        self.record_received(0)


def attach_body_limit(scope: Scope, body_limit: RequestBodyLimit) -> None:
    """Store the limit in the request's state, where its route finds it."""
    scope["state"][_STATE_KEY] = body_limit


def lower_body_limit(scope: Scope, limit: int) -> None:
    """Lower the size limit of the request's body.

    Does nothing for requests without a body.

    Raises:
        HTTPException: 413, because the announced length already exceeds the limit.
    """
    body_limit: RequestBodyLimit | None = scope["state"].get(_STATE_KEY)
    if body_limit is not None:
        body_limit.lower(limit)
