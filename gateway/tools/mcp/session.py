"""A long-lived session with an MCP server, in a task that reconnects."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, TypeVar

import anyio
import structlog
from mcp import ClientSession, McpError, types
from pydantic import ValidationError

from gateway.domain.config.tools import McpServerConfig
from gateway.tools.base import ToolError
from gateway.tools.mcp.transport import open_session

log = structlog.get_logger(__name__)

CONNECT_SECONDS = 10.0
RECONNECT_WAIT_SECONDS = 5.0  # how long a call waits for a connection
PING_SECONDS = 2.0
PING_AFTER_SECONDS = 5.0  # a connection that was silent for longer is pinged before a call
REFRESH_SECONDS = 300.0
MIN_RETRY_SECONDS, MAX_RETRY_SECONDS = 1.0, 60.0
CLOSE_SECONDS = 6.0
# Unsolicited messages that a server may send between two calls; more are a flood.
MAX_UNSOLICITED_MESSAGES = 2000

_METHOD_NOT_FOUND = -32601
# Errors of the library for a closed session; a server may use the first code too, with another message.
_CONNECTION_LOST_ERRORS = {(types.CONNECTION_CLOSED, "Connection closed"), (32600, "Session terminated")}

T = TypeVar("T")


class _ConnectionClosed(Exception):
    """The connection was closed while a response was awaited."""


class _Connection:
    """A connection to the server.

    `closed` is done as soon as the connection is known to be lost.
    """

    def __init__(self, is_http: bool) -> None:
        loop = asyncio.get_running_loop()
        self.session: ClientSession | None = None
        self.closed: asyncio.Future[None] = loop.create_future()
        self.changed = asyncio.Event()
        self.last_response_at = loop.time()
        self._is_http = is_http
        self._unsolicited = 0

    def mark_closed(self) -> None:
        if not self.closed.done():
            self.closed.set_result(None)
        self.changed.set()

    async def on_message(self, message: object) -> None:
        """Handle an unsolicited message.

        An exception is fatal over HTTP, but a stray line over stdio.
        """
        self._unsolicited += 1
        if self._unsolicited > MAX_UNSOLICITED_MESSAGES or (self._is_http and isinstance(message, Exception)):
            self.mark_closed()
        elif isinstance(message, types.ServerNotification) and isinstance(
            message.root, types.ToolListChangedNotification
        ):
            self.changed.set()

    async def request(self, awaitable: Awaitable[T]) -> T:
        """Await a response; raises _ConnectionClosed if the connection ends first."""
        task = asyncio.ensure_future(awaitable)
        try:
            futures: set[asyncio.Future[Any]] = {task, self.closed}
            await asyncio.wait(futures, return_when=asyncio.FIRST_COMPLETED)
            if not task.done():
                raise _ConnectionClosed
            result = await task
        finally:
            task.cancel()
        self.last_response_at = asyncio.get_running_loop().time()
        self._unsolicited = 0
        return result


class McpSession:
    """Keeps a connection to a server.

    `discover` is called after each connect and when the tools may have changed.
    """

    def __init__(
        self,
        name: str,
        config: McpServerConfig,
        discover: Callable[[ClientSession], Awaitable[None]],
    ) -> None:
        self._name = name
        self._config = config
        self._discover = discover
        self._connection: _Connection | None = None
        self._task: asyncio.Task[None] | None = None
        self._reconnect_requested = asyncio.Event()
        self._attempt_finished = asyncio.Event()
        self._connected_at: float | None = None
        self._failed_at = float("-inf")

    def open(self) -> None:
        """Start connecting, in the background."""
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._run())

    async def aclose(self) -> None:
        """Close the connection, and end a stdio server.

        A transport that does not close in time is abandoned.
        """
        task, self._task = self._task, None
        for _ in range(2):  # again, in case the first cancellation led to a closing handshake that hangs
            if task is not None and not task.done():
                task.cancel()
                await asyncio.wait({task}, timeout=CLOSE_SECONDS)

    async def call(self, tool: str, arguments: dict[str, Any]) -> types.CallToolResult:
        """Call a tool of the server, without retries.

        Raises:
            ToolError: the server is unreachable, returns an error, or disconnects.
        """
        connection = await self._responsive_connection()
        assert connection.session is not None
        # Not `call_tool`, which validates the result against the server's schema on the event loop.
        request = types.CallToolRequest(params=types.CallToolRequestParams(name=tool, arguments=arguments))
        sent = connection.session.send_request(types.ClientRequest(request), types.CallToolResult)
        try:
            return await connection.request(sent)
        except McpError as error:
            if (error.error.code, error.error.message) in _CONNECTION_LOST_ERRORS:
                connection.mark_closed()
                raise self._connection_lost_error() from None
            raise ToolError(
                f"{self._name} returned an error: {error.error.message[:500]}", untrusted=True
            ) from None
        except (_ConnectionClosed, anyio.ClosedResourceError, anyio.BrokenResourceError):
            connection.mark_closed()
            raise self._connection_lost_error() from None
        except ValidationError:
            raise ToolError(f"{self._name} sent an invalid response; continue without it.") from None
        except (asyncio.CancelledError, TimeoutError):
            connection.last_response_at = float("-inf")  # the next call pings first
            raise

    def _connection_lost_error(self) -> ToolError:
        return ToolError(
            f"The connection to {self._name} was lost; the call may or may not have been carried out.",
            kind="unreachable",
        )

    async def _responsive_connection(self) -> _Connection:
        """Return a connection that has responded recently, else one that answers a ping."""
        for _ in range(2):
            connection = self._connection or await self._wait_for_connection()
            if (
                asyncio.get_running_loop().time() - connection.last_response_at < PING_AFTER_SECONDS
                or await self._ping(connection)
            ):
                return connection
            connection.mark_closed()
            self._connection = None
        raise self._unreachable_error()

    async def _ping(self, connection: _Connection) -> bool:
        assert connection.session is not None
        try:
            async with asyncio.timeout(PING_SECONDS):
                await connection.request(connection.session.send_ping())
        except McpError as error:
            return error.error.code == _METHOD_NOT_FOUND  # still a response
        except (TimeoutError, _ConnectionClosed, anyio.ClosedResourceError, anyio.BrokenResourceError):
            return False
        return True

    async def _wait_for_connection(self) -> _Connection:
        self.open()
        if asyncio.get_running_loop().time() - self._failed_at > MIN_RETRY_SECONDS:
            self._attempt_finished.clear()
            self._reconnect_requested.set()
            with suppress(TimeoutError):
                async with asyncio.timeout(RECONNECT_WAIT_SECONDS):
                    await self._attempt_finished.wait()
        if self._connection is None:
            raise self._unreachable_error()
        return self._connection

    def _unreachable_error(self) -> ToolError:
        return ToolError(f"{self._name} is currently unreachable; continue without it.", kind="unreachable")

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        retry_seconds = MIN_RETRY_SECONDS
        while True:
            self._reconnect_requested.clear()
            self._connected_at = None
            try:
                await self._run_connection()
            except Exception as error:  # noqa: BLE001 - any failure of a transport or server is retried
                log.warning("mcp.connection_lost", server=self._name, error=_root_error_name(error))
            connected_seconds = 0.0 if self._connected_at is None else loop.time() - self._connected_at
            if connected_seconds > MIN_RETRY_SECONDS:  # it worked a moment ago: reconnect at once
                retry_seconds = MIN_RETRY_SECONDS
                continue
            self._failed_at = loop.time()
            self._attempt_finished.set()
            retry_seconds = min(2 * retry_seconds, MAX_RETRY_SECONDS)
            with suppress(TimeoutError):
                async with asyncio.timeout(retry_seconds):
                    await self._reconnect_requested.wait()

    async def _run_connection(self) -> None:
        connection = _Connection(is_http=self._config.url is not None)
        try:
            async with open_session(self._config, {"message_handler": connection.on_message}) as session:
                connection.session = session
                async with asyncio.timeout(CONNECT_SECONDS):
                    await connection.request(session.initialize())
                    await connection.request(self._discover(session))
                self._connection = connection
                self._connected_at = asyncio.get_running_loop().time()
                self._attempt_finished.set()
                while not connection.closed.done():
                    with suppress(TimeoutError):
                        async with asyncio.timeout(REFRESH_SECONDS):
                            await connection.changed.wait()
                    connection.changed.clear()
                    if not connection.closed.done():
                        async with asyncio.timeout(CONNECT_SECONDS):
                            await connection.request(self._discover(session))
        finally:
            self._connection = None
            connection.mark_closed()


def _root_error_name(error: BaseException) -> str:
    """Return the name of the innermost error: transports raise exception groups."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return type(error).__name__
