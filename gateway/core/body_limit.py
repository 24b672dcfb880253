"""How large the body of one request may be; a route lowers it before it reads."""

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
    """The limit of a request's body and how much of it has been announced or received."""

    def __init__(self, limit: int, announced: int) -> None:
        self.limit = limit
        self._size = announced

    @property
    def exceeded(self) -> bool:
        return self._size > self.limit

    def record_received(self, total: int) -> None:
        """Record that `total` bytes have been received so far.

        Raises:
            HTTPException: 413, the one class that FastAPI's own reading of a body lets through.
        """
        self._size = max(self._size, total)
        if self.exceeded:
            raise HTTPException(413)

    def lower(self, limit: int) -> None:
        """Accept at most `limit` bytes; raises as `receive`."""
        self.limit = min(self.limit, limit)
        self.record_received(0)


def attach_body_limit(scope: Scope, body_limit: RequestBodyLimit) -> None:
    """Attach the allowance to the request, for its route."""
    scope["state"][_STATE_KEY] = body_limit


def lower_body_limit(scope: Scope, limit: int) -> None:
    """Lower the limit of the request's body; without a body nothing happens.

    Raises:
        HTTPException: 413, the announced length is larger already.
    """
    body_limit: RequestBodyLimit | None = scope["state"].get(_STATE_KEY)
    if body_limit is not None:
        body_limit.lower(limit)
