"""Connects to MCP servers through `langchain-mcp-adapters`, with limits on response sizes."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import httpx
from langchain_mcp_adapters.sessions import (
    Connection,
    StdioConnection,
    StreamableHttpConnection,
    create_session,
)
from mcp import ClientSession

from gateway.domain.config.tools import McpServerConfig

_SUPERVISOR_PATH = str(Path(__file__).with_name("stdio_supervisor.py"))
_CONNECT_SECONDS = 5.0
# The largest response, or event of a stream.
MAX_ANSWER_BYTES = 4 * 1024 * 1024

# Both libraries log server output and values of its environment.
for _name in ("mcp", "langchain_mcp_adapters"):
    logging.getLogger(_name).setLevel(logging.CRITICAL + 1)


def open_session(
    config: McpServerConfig, session_options: dict[str, Any]
) -> AbstractAsyncContextManager[ClientSession]:
    """Open a session that is not initialized yet; enter and exit it in the same task."""
    connection: Connection = (
        _http_connection(config) if config.command is None else _stdio_connection(config, config.command)
    )
    connection["session_kwargs"] = session_options
    return create_session(connection)


def _stdio_connection(config: McpServerConfig, command: str) -> StdioConnection:
    names = ",".join(config.env)
    return StdioConnection(
        transport="stdio",
        command=sys.executable,
        args=["-I", "-S", _SUPERVISOR_PATH, str(os.getpid()), names, command, *config.args],
        env=dict(config.env),
        encoding_error_handler="replace",
    )


def _http_connection(config: McpServerConfig) -> StreamableHttpConnection:
    return StreamableHttpConnection(
        transport="streamable_http",
        url=config.url or "",
        headers=dict(config.headers),
        timeout=_CONNECT_SECONDS,
        sse_read_timeout=config.timeout_seconds + _CONNECT_SECONDS,
        httpx_client_factory=_make_http_client,
    )


def _make_http_client(
    headers: dict[str, str] | None = None,
    timeout: httpx.Timeout | None = None,
    auth: httpx.Auth | None = None,
) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        headers=headers, timeout=timeout, auth=auth, event_hooks={"response": [_limit_response_size]}
    )


async def _limit_response_size(response: httpx.Response) -> None:
    if isinstance(response.stream, httpx.AsyncByteStream):
        events = response.headers.get("content-type", "").startswith("text/event-stream")
        response.stream = _SizeLimitedStream(response.stream, by_event=events)


class _SizeLimitedStream(httpx.AsyncByteStream):
    """Passes bytes through, and fails if a response or one event exceeds `MAX_ANSWER_BYTES`."""

    def __init__(self, inner: httpx.AsyncByteStream, *, by_event: bool) -> None:
        self._inner = inner
        self._by_event = by_event

    async def __aiter__(self) -> AsyncIterator[bytes]:
        length = 0
        async for chunk in self._inner:
            newline = chunk.rfind(b"\n") if self._by_event else -1
            length = length + len(chunk) if newline < 0 else len(chunk) - newline - 1
            if length > MAX_ANSWER_BYTES:
                raise httpx.ReadError("The response is too large.")
            yield chunk

    async def aclose(self) -> None:
        await self._inner.aclose()
