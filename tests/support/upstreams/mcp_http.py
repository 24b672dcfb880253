"""An MCP server over HTTP that can be stopped and restarted."""

from __future__ import annotations

import asyncio
import json
from types import TracebackType
from typing import Any

from tests.support.upstreams.mcp_stdio import answer


class McpHttpServer:
    """`async with McpHttpServer() as server`; `server.url`, `server.stop()`, `await server.start()`."""

    def __init__(self) -> None:
        self.port = 0
        self.requests: list[tuple[dict[str, str], dict[str, Any]]] = []
        self.floods = False
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/mcp"

    async def __aenter__(self) -> McpHttpServer:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    async def start(self) -> None:
        """Listen, on the same port as before."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    def stop(self) -> None:
        if self._server is not None:
            self._server.close()
        for writer in self._open:
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        try:
            while line := await reader.readline():
                headers: dict[str, str] = {}
                while (header := (await reader.readline()).decode().strip()) != "":
                    name, _, value = header.partition(":")
                    headers[name.lower()] = value.strip()
                body = await reader.readexactly(int(headers.get("content-length", 0)))
                await self._answer(line.decode().split(" ")[0], headers, body, writer)
        except ConnectionError:
            return
        finally:
            self._open.discard(writer)
            writer.close()

    async def _answer(
        self, method: str, headers: dict[str, str], body: bytes, writer: asyncio.StreamWriter
    ) -> None:
        if method != "POST":
            writer.write(b"HTTP/1.1 405 Method Not Allowed\r\ncontent-length: 0\r\n\r\n")
            return
        request = json.loads(body)
        self.requests.append((headers, request))
        if "id" not in request:
            writer.write(b"HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n")
            return
        result = answer(request)
        if result is None:
            await asyncio.Event().wait()
        if self.floods and request["method"] == "tools/call":
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n")
            while True:
                writer.write(b" " * 65536)
                await writer.drain()
        answered = json.dumps({"jsonrpc": "2.0", "id": request["id"], "result": result}).encode()
        head = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(answered)}\r\n\r\n"
        writer.write(head.encode() + answered)
