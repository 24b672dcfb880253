"""Record the SQL statements sent to PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import asyncpg.connection
import pytest

from gateway.core.request_context import current_request


@contextmanager
def recorded_statements(monkeypatch: pytest.MonkeyPatch, *, of_requests: bool = False) -> Iterator[list[str]]:
    """Every statement that is sent while this is open, in order.

    `of_requests`: only those of requests, without the rounds that a gateway makes beside them.
    """
    sent: list[str] = []
    connection = asyncpg.connection.Connection
    with monkeypatch.context() as patched:
        for name in ("_do_execute", "_prepare"):
            method = getattr(connection, name)

            async def note(self: Any, query: str, *args: Any, method: Any = method, **kwargs: Any) -> Any:
                if not of_requests or current_request() is not None:
                    sent.append(query)
                return await method(self, query, *args, **kwargs)

            patched.setattr(connection, name, note)
        yield sent
