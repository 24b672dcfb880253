"""What a failure of the database means to a caller."""

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
        # A goodbye that arrives on a connection which was just taken up.
        asyncpg.InternalClientError("cannot switch to state 12; another operation is in progress"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_database_that_cannot_serve_now_is_a_503_with_a_wait(error: Exception) -> None:
    found = as_unavailable(error)
    assert found is not None
    assert (found.status, found.code) == (503, "overloaded")
    assert found.retry_after is not None


def test_a_mistake_of_ours_is_no_outage() -> None:
    assert as_unavailable(asyncpg.UndefinedTableError("no such table")) is None
    assert as_unavailable(ValueError("a bug")) is None


@pytest.mark.parametrize(
    ("error", "told"),
    [
        # As asyncpg.connect_utils.TLSUpgradeProto.connection_lost words it.
        (ConnectionError("unexpected connection_lost() call"), False),
        (ConnectionError("anything else"), True),
    ],
)
async def test_a_connection_that_was_called_off_while_it_was_made_is_nobodys_error(
    error: ConnectionError, told: bool, caplog: pytest.LogCaptureFixture
) -> None:
    asyncio.get_running_loop().create_future().set_exception(error)
    gc.collect()
    assert ("never retrieved" in caplog.text) is told
