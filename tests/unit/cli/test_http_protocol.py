"""Incomplete requests are limited in size, time and number."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import orjson
import pytest
import structlog
import uvicorn
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.server import ServerState

from gateway.cli.http_protocol import SMALL_BODY_BYTES, BoundedProtocol, IncompleteRequests
from gateway.core.metrics import registry as metrics
from gateway.middleware import access_log, rejected_requests
from gateway.middleware.client_ip import ClientAddresses
from gateway.middleware.rejected_requests import RejectedRequestLog
from gateway.middleware.stack import RequestMiddleware

Reader, Writer = asyncio.StreamReader, asyncio.StreamWriter
HEAD = b"POST / HTTP/1.1\r\nhost: gateway\r\n"
LONG = 8 * 1024 * 1024


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers with the length of the body; `/unread` does so without reading it."""
    size = 0
    try:
        if scope["path"] != "/unread":
            async for chunk in Request(scope, receive).stream():
                size += len(chunk)
                scope["state"]["received"].put_nowait(size)
    except ClientDisconnect:
        return
    await Response(str(size))(scope, receive, send)


@asynccontextmanager
async def served(
    received: asyncio.Queue[int] | None = None, application: ASGIApp = app, **bounds: Any
) -> AsyncIterator[tuple[type[BoundedProtocol], Callable[[], Awaitable[Any]]]]:
    """The protocol with other bounds on a port of loopback, and how to connect to it.

    `received` gets how much of a body the application has read so far.
    """
    own = {"incomplete": IncompleteRequests(), "refused": RejectedRequestLog()}
    protocol = type("Small", (BoundedProtocol,), {**own, **bounds})
    config = uvicorn.Config(
        application, http=protocol, lifespan="off", log_config=None, access_log=False, ws="none"
    )
    config.load()
    state = ServerState()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: protocol(
            config=config, server_state=state, app_state={"received": received or asyncio.Queue()}
        ),
        "127.0.0.1",
        0,
    )
    port = server.sockets[0].getsockname()[1]
    try:
        yield protocol, lambda: asyncio.open_connection("127.0.0.1", port)
    finally:
        server.close()
        for connection in list(state.connections):
            connection.transport.abort()
        await asyncio.gather(*state.tasks)
        await server.wait_closed()


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """The access log's lines."""
    capture = structlog.testing.LogCapture()
    logger = structlog.wrap_logger(
        None, processors=[capture], wrapper_class=structlog.make_filtering_bound_logger(0)
    )
    monkeypatch.setattr(access_log, "log", logger)
    monkeypatch.setattr(rejected_requests, "log", logger)
    return capture.entries  # type: ignore[return-value]


def requests_counted(method: str, status: int) -> float:
    labels = {"method": method, "path": "unmatched", "status": str(status)}
    return metrics.registry.get_sample_value("gateway_requests_total", labels) or 0.0


async def everything(reader: Reader) -> bytes:
    """What the server says until it closes the connection."""
    try:
        return await reader.read()
    except ConnectionResetError:
        return b""


async def answer(reader: Reader) -> tuple[int, bytes]:
    """One answer of a connection that stays open."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
    return int(head.split(b" ")[1]), await reader.readexactly(length)


def code_of(said: bytes) -> tuple[int, str]:
    head, _, body = said.partition(b"\r\n\r\n")
    error = orjson.loads(body)["error"]
    assert f"x-request-id: {error['request_id']}".encode() in head
    assert b"connection: close" in head
    return int(head.split(b" ")[1]), error["code"]


async def send_all(writer: Writer, data: bytes, size: int = 65_536) -> None:
    """Send as much as the other side takes before it closes."""
    try:
        for start in range(0, len(data), size):
            writer.write(data[start : start + size])
            await writer.drain()
    except ConnectionError:
        pass


@pytest.mark.parametrize(
    "request_",
    [
        HEAD + b"x: " + b"a" * LONG,
        HEAD + b"x" * LONG,
        b"GET /" + b"a" * LONG,
        HEAD + b"x: " + b"a" * 100_000 + b"\r\n\r\n",
        HEAD + b"a: b\r\n" * 20_000 + b"\r\n",
        HEAD + b"transfer-encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nx: " + b"a" * LONG,
        HEAD + b"transfer-encoding: chunked\r\n\r\n2;x=" + b"a" * LONG,
    ],
    ids=["a value", "a name", "an address", "complete", "many", "a trailer", "a chunk's extension"],
)
async def test_large_headers_are_rejected_while_receiving(request_: bytes) -> None:
    async with served() as (_, connect):
        reader, writer = await connect()
        sending = asyncio.create_task(send_all(writer, request_))
        said = await everything(reader)
        await sending
        writer.close()
    # A client that goes on sending may see a reset instead of the answer.
    assert not said or code_of(said) == (431, "headers_too_large")


async def test_headers_of_64_kib_and_a_large_body_in_the_same_segment_are_accepted() -> None:
    cookie = b"cookie: " + b"a" * 60_000 + b"\r\n"
    body = b"b" * 300_000
    async with served() as (_, connect):
        reader, writer = await connect()
        for _ in range(2):  # the second on the same connection
            writer.write(HEAD + cookie + b"content-length: %d\r\n\r\n" % len(body) + body)
            assert await answer(reader) == (200, b"300000")
        writer.close()


@pytest.mark.parametrize("begun", [b"", b"POST / HTTP/1.1\r\nhost: g"], ids=["nothing", "a part"])
async def test_connection_with_incomplete_headers_times_out(begun: bytes) -> None:
    async with served(header_seconds=0.05) as (protocol, connect):
        reader, writer = await connect()
        writer.write(begun)
        assert code_of(await everything(reader)) == (408, "request_timeout")
        writer.close()
        assert protocol.incomplete.connections == {}


async def test_later_request_on_a_connection_times_out_too() -> None:
    async with served(header_seconds=0.05) as (_, connect):
        reader, writer = await connect()
        writer.write(HEAD + b"content-length: 2\r\n\r\nhi")
        assert await answer(reader) == (200, b"2")
        writer.write(b"GET / HTT")
        assert code_of(await everything(reader)) == (408, "request_timeout")
        writer.close()


async def test_stalled_body_times_out_and_releases_its_bytes() -> None:
    async with served(body_idle_seconds=0.05) as (protocol, connect):
        reader, writer = await connect()
        writer.write(HEAD + b"content-length: 900000\r\n\r\n" + b"b" * 200_000)
        assert code_of(await everything(reader)) == (408, "request_timeout")
        writer.close()
        assert protocol.incomplete.body_bytes == 0


async def test_slow_body_is_accepted() -> None:
    async with served(body_idle_seconds=0.5) as (_, connect):
        reader, writer = await connect()
        writer.write(HEAD + b"content-length: 30\r\n\r\n")
        for _ in range(30):
            writer.write(b"b")
            await asyncio.sleep(0.03)  # longer in all than the idle time
        assert await answer(reader) == (200, b"30")
        writer.close()


async def test_total_size_of_large_bodies_is_limited_and_small_ones_pass() -> None:
    received: asyncio.Queue[int] = asyncio.Queue()
    async with served(received, max_incomplete_bytes=1_300_000) as (protocol, connect):
        held = [await connect() for _ in range(3)]
        for _, writer in held[:2]:
            await send_all(writer, HEAD + b"content-length: 900000\r\n\r\n" + b"b" * 450_000)
            while await received.get() < 450_000:
                continue
        assert protocol.incomplete.body_bytes == 2 * (450_000 - SMALL_BODY_BYTES)
        reader, writer = held[2]
        await send_all(writer, HEAD + b"content-length: 900000\r\n\r\n" + b"b" * 700_000)
        said = await everything(reader)
        assert not said or code_of(said) == (503, "overloaded")
        small = await connect()
        small[1].write(HEAD + b"content-length: 60000\r\n\r\n" + b"b" * 60_000)
        assert await answer(small[0]) == (200, b"60000")
        await send_all(held[0][1], b"b" * 450_000)
        assert await answer(held[0][0]) == (200, b"900000")
        for _, writer in (*held, small):
            writer.close()
    assert protocol.incomplete.body_bytes == 0


async def test_body_no_longer_counts_after_an_early_response() -> None:
    async with served(body_idle_seconds=0.05, max_incomplete_bytes=100_000) as (protocol, connect):
        reader, writer = await connect()
        writer.write(b"POST /unread HTTP/1.1\r\nhost: g\r\ncontent-length: 900000\r\n\r\n" + b"b" * 30_000)
        assert await answer(reader) == (200, b"0")
        await send_all(writer, b"b" * 870_000 + HEAD + b"content-length: 1\r\n\r\nb")
        assert await answer(reader) == (200, b"1")
        writer.close()
        assert protocol.incomplete.body_bytes == 0


async def test_oldest_of_too_many_connections_without_headers_is_closed() -> None:
    async with served(max_incomplete_heads=3) as (protocol, connect):
        waiting = [await connect() for _ in range(4)]
        assert await everything(waiting[0][0]) == b""
        assert len(protocol.incomplete.connections) == 3
        reader, writer = waiting[3]
        writer.write(HEAD + b"content-length: 2\r\n\r\nhi")
        assert await answer(reader) == (200, b"2")
        assert len(protocol.incomplete.connections) == 2
        for _, writer in waiting:
            writer.close()


@pytest.mark.parametrize(
    ("request_", "bounds", "status", "known"),
    [
        (HEAD + b"x: " + b"a" * 9000, {"header_bytes": 8000}, 431, ("POST", "/", "headers_too_large")),
        (
            b"GET /a?secret HTTP/1.1\r\nx: " + b"a" * 9000 + b"\r\n\r\n",
            {"header_bytes": 8000},
            431,
            ("GET", "/a", "headers_too_large"),
        ),
        (
            b"GET /a?secret HTTP/1.1\r\nhost: g",
            {"header_seconds": 0.05},
            408,
            (None, "/a", "request_timeout"),
        ),
        (b"", {"header_seconds": 0.05}, 408, (None, None, "request_timeout")),
        (b"\x16\x03\x01 no HTTP\r\n\r\n", {}, 400, (None, "", "invalid_request")),
    ],
    ids=["incomplete headers", "complete headers", "a part", "nothing", "not HTTP"],
)
async def test_request_rejected_by_the_protocol_is_logged_and_counted(
    request_: bytes,
    bounds: Mapping[str, Any],
    status: int,
    known: tuple[str | None, str | None, str],
    lines: list[dict[str, Any]],
) -> None:
    # While headers are incomplete the parser does not name the method.
    method = known[0] if request_.endswith(b"\r\n\r\n") and status == 431 else None
    before = requests_counted(method or "OTHER", status)
    async with served(**bounds) as (_, connect):
        reader, writer = await connect()
        writer.write(request_)
        said = await everything(reader)
        writer.close()
    [line] = lines
    assert (line["event"], line["log_level"], line["status"]) == ("request", "warning", status)
    assert (line["method"], line["path"] or "", line["code"]) == (method, known[1] or "", known[2])
    assert line["client_ip"] == "127.0.0.1"
    assert (
        status == 400
        or not said
        or orjson.loads(said.partition(b"\r\n\r\n")[2])["error"]["request_id"] == (line["request_id"])
    )
    assert requests_counted(method or "OTHER", status) == before + 1


async def test_rejected_body_logs_one_line_with_the_response_id(
    lines: list[dict[str, Any]],
) -> None:
    before = requests_counted("POST", 408), requests_counted("POST", 499)
    edge = RequestMiddleware(app, ClientAddresses(""))
    async with served(application=edge, body_idle_seconds=0.05) as (_, connect):
        reader, writer = await connect()
        writer.write(HEAD + b"content-length: 9\r\n\r\nb")
        said = await everything(reader)
        writer.close()
    [line] = lines
    assert (line["status"], line["code"], line["log_level"]) == (408, "request_timeout", "warning")
    assert f"x-request-id: {line['request_id']}".encode() in said
    assert (requests_counted("POST", 408), requests_counted("POST", 499)) == (before[0] + 1, before[1])


async def test_body_rejected_with_its_headers_logs_the_response_id(
    lines: list[dict[str, Any]],
) -> None:
    edge = RequestMiddleware(app, ClientAddresses(""))
    async with served(application=edge, max_incomplete_bytes=1000) as (_, connect):
        reader, writer = await connect()
        writer.write(HEAD + b"content-length: 90000\r\n\r\n" + b"b" * 70_000)
        said = await everything(reader)
        writer.close()
    [line] = lines
    assert (line["status"], line["code"]) == (503, "overloaded")
    assert not said or f"x-request-id: {line['request_id']}".encode() in said


async def test_many_rejected_requests_log_few_lines_and_count_all(
    lines: list[dict[str, Any]],
) -> None:
    before = requests_counted("OTHER", 400)
    book = RejectedRequestLog(lines=3, seconds=3600)
    async with served(refused=book) as (_, connect):
        for _ in range(10):
            reader, writer = await connect()
            writer.write(b"no HTTP\r\n\r\n")
            await everything(reader)
            writer.close()
        assert len(lines) == 3
        book.end_window()
        assert lines[3:] == [
            {"event": "request.rejections_suppressed", "log_level": "warning",
             "not_logged": {"invalid_request": 7},
             "seconds": 3600}
        ]  # fmt: skip
    assert requests_counted("OTHER", 400) == before + 10
