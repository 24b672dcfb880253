"""One long-lived session with an MCP server, kept in a task of its own: found, lost and found again."""

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
from gateway.tools.mcp_transport import open_session

log = structlog.get_logger(__name__)

CONNECT_SECONDS = 10.0
WAIT_SECONDS = 5.0  # what a call waits for a session that is not there
PING_SECONDS = 2.0
QUIET_SECONDS = 5.0  # a session that was silent for longer is asked whether it is still there
REFRESH_SECONDS = 300.0
SHORTEST_PAUSE, LONGEST_PAUSE = 1.0, 60.0
CLOSE_SECONDS = 6.0
# Unasked messages that a server may send between two calls before it is taken for a flood.
MOST_UNASKED = 2000

_METHOD_NOT_FOUND = -32601
# What the library itself answers where a session has ended; a server may use the first code as well.
_LOST = {(types.CONNECTION_CLOSED, "Connection closed"), (32600, "Session terminated")}

T = TypeVar("T")


class _Gone(Exception):
    """The session ended while it was waited for."""


class _Live:
    """A session that answers; `gone` is done as soon as it is known not to any more."""

    def __init__(self, by_http: bool) -> None:
        loop = asyncio.get_running_loop()
        self.session: ClientSession | None = None
        self.gone: asyncio.Future[None] = loop.create_future()
        self.news = asyncio.Event()
        self.heard = loop.time()
        self._by_http = by_http
        self._unasked = 0

    def lose(self) -> None:
        if not self.gone.done():
            self.gone.set_result(None)
        self.news.set()

    async def on_message(self, message: object) -> None:
        """What the server says unasked; over stdio that may be a stray line, over HTTP it is a fault."""
        self._unasked += 1
        if self._unasked > MOST_UNASKED or (self._by_http and isinstance(message, Exception)):
            self.lose()
        elif isinstance(message, types.ServerNotification) and isinstance(
            message.root, types.ToolListChangedNotification
        ):
            self.news.set()

    async def ask(self, request: Awaitable[T]) -> T:
        """`request`'s result; raises _Gone where the session ends first."""
        asking = asyncio.ensure_future(request)
        try:
            either: set[asyncio.Future[Any]] = {asking, self.gone}
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            if not asking.done():
                raise _Gone
            answer = await asking
        finally:
            asking.cancel()
        self.heard = asyncio.get_running_loop().time()
        self._unasked = 0
        return answer


class McpSession:
    """`discover` is called with each new session, and again when its tools may have changed."""

    def __init__(
        self,
        name: str,
        config: McpServerConfig,
        discover: Callable[[ClientSession], Awaitable[None]],
    ) -> None:
        self._name = name
        self._config = config
        self._discover = discover
        self._live: _Live | None = None
        self._task: asyncio.Task[None] | None = None
        self._wanted = asyncio.Event()
        self._settled = asyncio.Event()
        self._live_since: float | None = None
        self._failed_at = float("-inf")

    def open(self) -> None:
        """Start connecting, in the background."""
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._keep())

    async def aclose(self) -> None:
        """End the session and the child with it; a transport that will not end is left after some seconds."""
        task, self._task = self._task, None
        for _ in range(2):  # the second time in case the first one went into a farewell that hangs
            if task is not None and not task.done():
                task.cancel()
                await asyncio.wait({task}, timeout=CLOSE_SECONDS)

    async def call(self, tool: str, arguments: dict[str, Any]) -> types.CallToolResult:
        """Call the server's `tool`, once.

        Raises:
            ToolError: the server is not there, refuses, or ends meanwhile.
        """
        live = await self._reached()
        assert live.session is not None
        # Not `call_tool`: that checks the result against a schema of the server's own making, on this loop.
        request = types.CallToolRequest(params=types.CallToolRequestParams(name=tool, arguments=arguments))
        sent = live.session.send_request(types.ClientRequest(request), types.CallToolResult)
        try:
            return await live.ask(sent)
        except McpError as error:
            if (error.error.code, error.error.message) in _LOST:
                live.lose()
                raise self._lost_in_a_call() from None
            raise ToolError(f"{self._name} refused: {error.error.message[:500]}", outside=True) from None
        except (_Gone, anyio.ClosedResourceError, anyio.BrokenResourceError):
            live.lose()
            raise self._lost_in_a_call() from None
        except ValidationError:
            raise ToolError(f"{self._name} gave an answer that is not MCP; go on without it.") from None
        except (asyncio.CancelledError, TimeoutError):
            live.heard = float("-inf")  # whoever comes next asks first whether it still answers
            raise

    def _lost_in_a_call(self) -> ToolError:
        return ToolError(
            f"The connection to {self._name} was lost; the call may or may not have been carried out.",
            kind="unreachable",
        )

    async def _reached(self) -> _Live:
        """A session that has answered within the last seconds."""
        for _ in range(2):
            live = self._live or await self._connected()
            if asyncio.get_running_loop().time() - live.heard < QUIET_SECONDS or await self._answers(live):
                return live
            live.lose()
            self._live = None
        raise self._unreachable()

    async def _answers(self, live: _Live) -> bool:
        assert live.session is not None
        try:
            async with asyncio.timeout(PING_SECONDS):
                await live.ask(live.session.send_ping())
        except McpError as error:
            return error.error.code == _METHOD_NOT_FOUND  # an answer all the same
        except (TimeoutError, _Gone, anyio.ClosedResourceError, anyio.BrokenResourceError):
            return False
        return True

    async def _connected(self) -> _Live:
        self.open()
        if asyncio.get_running_loop().time() - self._failed_at > SHORTEST_PAUSE:
            self._settled.clear()
            self._wanted.set()
            with suppress(TimeoutError):
                async with asyncio.timeout(WAIT_SECONDS):
                    await self._settled.wait()
        if self._live is None:
            raise self._unreachable()
        return self._live

    def _unreachable(self) -> ToolError:
        return ToolError(f"{self._name} cannot be reached now; go on without it.", kind="unreachable")

    async def _keep(self) -> None:
        loop = asyncio.get_running_loop()
        pause = SHORTEST_PAUSE
        while True:
            self._wanted.clear()
            self._live_since = None
            try:
                await self._serve()
            except Exception as error:  # noqa: BLE001 - whatever a transport or a server does, it is tried again
                log.warning("mcp_server_lost", server=self._name, error=_kind(error))
            lived = 0.0 if self._live_since is None else loop.time() - self._live_since
            if lived > SHORTEST_PAUSE:  # it was there a moment ago: most are back at once
                pause = SHORTEST_PAUSE
                continue
            self._failed_at = loop.time()
            self._settled.set()
            pause = min(2 * pause, LONGEST_PAUSE)
            with suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._wanted.wait()

    async def _serve(self) -> None:
        live = _Live(by_http=self._config.url is not None)
        try:
            async with open_session(self._config, {"message_handler": live.on_message}) as session:
                live.session = session
                async with asyncio.timeout(CONNECT_SECONDS):
                    await live.ask(session.initialize())
                    await live.ask(self._discover(session))
                self._live = live
                self._live_since = asyncio.get_running_loop().time()
                self._settled.set()
                while not live.gone.done():
                    with suppress(TimeoutError):
                        async with asyncio.timeout(REFRESH_SECONDS):
                            await live.news.wait()
                    live.news.clear()
                    if not live.gone.done():
                        async with asyncio.timeout(CONNECT_SECONDS):
                            await live.ask(self._discover(session))
        finally:
            self._live = None
            live.lose()


def _kind(error: BaseException) -> str:
    """The innermost error's name: transports wrap theirs in groups."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return type(error).__name__
