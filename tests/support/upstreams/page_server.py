"""A web server on loopback with scripted responses that counts connections."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self


@dataclass(slots=True)
class PageResponse:
    """`body` is sent in its pieces, chunked; `forever` repeats the last one until the reader goes.

    `hang` falls silent after the pieces instead of ending.
    """

    body: Sequence[bytes] = (b"",)
    kind: str | None = "text/html; charset=utf-8"
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    forever: bool = False
    hang: bool = False


def page(text: str, title: str = "A page") -> PageResponse:
    return PageResponse(
        (f"<html><head><title>{title}</title></head><body><p>{text}</p></body></html>".encode(),)
    )


def redirect(to: str, status: int = 302) -> PageResponse:
    return PageResponse(status=status, headers={"location": to})


@dataclass(frozen=True, slots=True)
class PageRequest:
    path: str
    headers: dict[str, str]


class PageServer:
    """`pages` maps a path, with or without its query, to its answer; the rest is a 404."""

    def __init__(self, host: str = "127.0.0.1", tls: ssl.SSLContext | None = None, port: int = 0) -> None:
        self.pages: dict[str, PageResponse] = {}
        self.asked: list[PageRequest] = []
        self.connections = 0
        self.sent = 0
        self.answering = asyncio.Event()
        self.gone = asyncio.Event()  # a reader hung up before the answer's end
        self._host = host
        self._tls = tls
        self.port = port
        self._writers: set[asyncio.StreamWriter] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, self._host, self.port, ssl=self._tls)
        self.port = int(self._server.sockets[0].getsockname()[1])
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()
        for writer in list(self._writers):
            writer.transport.abort()
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._writers.add(writer)
        try:
            await self._answer(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            self.gone.set()
        finally:
            self._writers.discard(writer)
            writer.close()
            with contextlib.suppress(ConnectionError, ssl.SSLError):
                await writer.wait_closed()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        path = head[0].split(" ")[1]
        pairs = (line.split(": ", 1) for line in head[1:] if line)
        self.asked.append(PageRequest(path, {name.lower(): value for name, value in pairs}))
        missing = PageResponse((b"not here",), "text/plain", 404)
        answer = self.pages.get(path) or self.pages.get(path.split("?")[0]) or missing
        headers = {"transfer-encoding": "chunked", "connection": "close", **answer.headers}
        if answer.kind is not None:
            headers["content-type"] = answer.kind
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        writer.write(f"HTTP/1.1 {answer.status} X\r\n{lines}\r\n".encode())
        async for piece in _pieces(answer):
            writer.write(b"%x\r\n%b\r\n" % (len(piece), piece))
            self.sent += len(piece)
            await writer.drain()
            self.answering.set()
        if answer.hang:
            await reader.read(1)
            raise ConnectionResetError
        writer.write(b"0\r\n\r\n")
        await writer.drain()


async def _pieces(answer: PageResponse) -> AsyncIterator[bytes]:
    for piece in answer.body:
        if piece:
            yield piece
    while answer.forever:
        await asyncio.sleep(0)
        yield answer.body[-1]
