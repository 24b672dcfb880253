"""Records the Valkey commands that a test causes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from redis.asyncio import Redis

from gateway.core.request_context import current_request


@contextmanager
def recorded_commands(monkeypatch: pytest.MonkeyPatch, *, of_requests: bool = False) -> Iterator[list[str]]:
    """Names of commands sent in the block; with `of_requests`, only those sent while handling requests."""
    commands: list[str] = []
    execute = Redis.execute_command

    async def record(redis: Redis, *command: Any, **options: Any) -> Any:
        if not of_requests or current_request() is not None:
            commands.append(command[0])
        return await execute(redis, *command, **options)  # type: ignore[no-untyped-call]

    with monkeypatch.context() as patch:
        patch.setattr(Redis, "execute_command", record)
        yield commands
