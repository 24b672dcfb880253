"""Classification of database errors."""

from __future__ import annotations

import asyncio
import gc

import asyncpg
import pytest
from sqlalchemy.exc import TimeoutError as PoolTimeout

from gateway.core.database import as_unavailable


@pytest.mark.parametrize(
    "error",
    [
        ConnectionRefusedError(),
        TimeoutError(),
        PoolTimeout("every connection is in use"),
        asyncpg.DiskFullError("no space left on device"),
        asyncpg.AdminShutdownError("terminating connection"),
        asyncpg.CannotConnectNowError("the database system is starting up"),
        # The server closes a connection that was just acquired.
        asyncpg.InternalClientError("cannot switch to state 12; another operation is in progress"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_database_outage_is_a_503_with_retry_after(error: Exception) -> None:
    found = as_unavailable(error)
    assert found is not None
    assert (found.status, found.code) == (503, "overloaded")
    assert found.retry_after is not None


def test_programming_error_is_not_an_outage() -> None:
    assert as_unavailable(asyncpg.UndefinedTableError("no such table")) is None
    assert as_unavailable(ValueError("a bug")) is None


@pytest.mark.parametrize(
    ("error", "logged"),
    [
        # The message of asyncpg.connect_utils.TLSUpgradeProto.connection_lost.
        (ConnectionError("unexpected connection_lost() call"), False),
        (ConnectionError("anything else"), True),
    ],
)
async def test_cancelled_connection_attempt_is_not_logged(
    error: ConnectionError, logged: bool, caplog: pytest.LogCaptureFixture
) -> None:
    asyncio.get_running_loop().create_future().set_exception(error)
    gc.collect()
    assert ("never retrieved" in caplog.text) is logged
