"""The transport: framing, keeping connections, and servers that do not keep to HTTP."""

from __future__ import annotations

import asyncio
import datetime
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from gateway.providers.chat.bulk_transport import BulkTransport, upstream_client

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


class Server:
    """Answers each request on a connection with the next of `answers`; the last one for all further."""

    def __init__(self, *answers: bytes, close: bool = False) -> None:
        self.answers = list(answers)
        self.close = close
        self.connections = 0
        self.requests: list[bytes] = []
        self.url = ""

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = next(
                    (
                        int(h.split(b":")[1])
                        for h in head.lower().split(b"\r\n")
                        if h.startswith(b"content-length")
                    ),
                    0,
                )
                self.requests.append(head + await reader.readexactly(length))
                writer.write(self.answers.pop(0) if len(self.answers) > 1 else self.answers[0])
                await writer.drain()
                if self.close:
                    return
        except (ConnectionError, asyncio.IncompleteReadError):
            return
        finally:
            writer.close()


@asynccontextmanager
async def serving(server: Server, context: ssl.SSLContext | None = None) -> AsyncIterator[Server]:
    listening = await asyncio.start_server(server.handle, "127.0.0.1", 0, ssl=context)
    port = listening.sockets[0].getsockname()[1]
    server.url = f"{'https' if context else 'http'}://localhost:{port}/x"
    try:
        yield server
    finally:
        listening.close()


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    async with upstream_client(trust_env=False) as client:
        yield client


async def test_a_connection_serves_one_request_after_the_other(http: httpx.AsyncClient) -> None:
    async with serving(Server(OK)) as server:
        for body in (b"", b"abc"):
            assert (await http.post(server.url, content=body)).content == b"ok"
    assert server.connections == 1
    assert server.requests[1].endswith(b"\r\n\r\nabc")


async def test_requests_at_the_same_time_have_connections_of_their_own(http: httpx.AsyncClient) -> None:
    async with serving(Server(OK)) as server:
        answers = await asyncio.gather(*(http.get(server.url) for _ in range(200)))
    assert {answer.content for answer in answers} == {b"ok"}
    assert server.connections == 200


async def test_all_that_has_arrived_comes_in_one_piece(http: httpx.AsyncClient) -> None:
    chunks = b"".join(b"1\r\n%d\r\n" % n for n in range(10)) + b"0\r\n\r\n"
    server = Server(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n" + chunks)
    async with serving(server), http.stream("GET", server.url) as response:
        assert [piece async for piece in response.aiter_raw()] == [b"0123456789"]


async def test_a_body_may_end_with_its_connection(http: httpx.AsyncClient) -> None:
    async with serving(Server(b"HTTP/1.1 200 OK\r\n\r\nall of it", close=True)) as server:
        assert (await http.get(server.url)).content == b"all of it"
        assert (await http.get(server.url)).content == b"all of it"
    assert server.connections == 2


async def test_an_interim_answer_is_not_the_answer(http: httpx.AsyncClient) -> None:
    async with serving(Server(b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n" + OK)) as server:
        answer = await http.get(server.url)
    assert (answer.status_code, answer.content) == (200, b"ok")
    assert "link" not in answer.headers


@pytest.mark.parametrize("extra", [b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nbad", b"noise"])
async def test_bytes_that_nobody_asked_for_never_reach_the_next_request(
    http: httpx.AsyncClient, extra: bytes
) -> None:
    async with serving(Server(OK + extra, OK)) as server:
        try:
            assert (await http.get(server.url)).content == b"ok"
        except httpx.RemoteProtocolError:
            assert extra == b"noise"
        assert (await http.get(server.url)).content == b"ok"
    assert server.connections == 2


async def test_a_connection_that_the_server_will_close_is_not_used_again(http: httpx.AsyncClient) -> None:
    closing = b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok"
    async with serving(Server(closing, close=True)) as server:
        for _ in range(2):
            assert (await http.get(server.url)).content == b"ok"
    assert server.connections == 2


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (b"", httpx.RemoteProtocolError),
        (b"HTTP/1.1 200", httpx.RemoteProtocolError),
        (b"SSH-2.0-OpenSSH_9.9\r\n", httpx.RemoteProtocolError),
        (b"HTTP/1.1 101 Switching\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n", httpx.RemoteProtocolError),
        (b"HTTP/1.1 200 OK\r\nx: " + b"y" * 100_000 + b"\r\n\r\n", httpx.RemoteProtocolError),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nok", httpx.ReadError),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n", httpx.ReadError),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n", httpx.RemoteProtocolError),
    ],
)
async def test_an_answer_that_is_no_http_or_not_whole_is_an_error(
    http: httpx.AsyncClient, answer: bytes, error: type[Exception]
) -> None:
    async with serving(Server(answer, close=True)) as server:
        with pytest.raises(error):
            await http.get(server.url)


async def test_a_line_break_in_a_header_is_not_sent(http: httpx.AsyncClient) -> None:
    async with serving(Server(OK)) as server:
        for value in (b"a\r\nx-evil: 1", b"a\nb", b"a\rb", b"a\0b"):
            with pytest.raises(httpx.LocalProtocolError):
                await http.get(server.url, headers={"x-key": value})
    assert server.requests == []


async def test_an_answer_to_head_has_no_body(http: httpx.AsyncClient) -> None:
    async with serving(Server(b"HTTP/1.1 200 OK\r\ncontent-length: 500\r\n\r\n")) as server:
        assert (await http.head(server.url)).status_code == 200
        assert (await http.head(server.url)).headers["content-length"] == "500"


async def test_a_reader_that_is_slow_makes_the_server_wait(http: httpx.AsyncClient) -> None:
    sent = 0
    full = asyncio.Event()

    async def pour(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 67108864\r\n\r\n")
        for _ in range(64):
            writer.write(b"x" * (1 << 20))
            asyncio.get_running_loop().call_later(0.2, full.set)
            await writer.drain()
            sent += 1
        writer.close()

    server = Server(OK)
    server.handle = pour  # type: ignore[method-assign]
    async with serving(server), http.stream("GET", server.url) as response:
        pieces = response.aiter_raw()
        size = len(await anext(pieces))
        await full.wait()
        assert sent < 64
        async for piece in pieces:
            size += len(piece)
    assert size == 64 << 20


async def test_nobody_listening_is_a_connect_error(http: httpx.AsyncClient) -> None:
    async with serving(Server(OK)) as server:
        url = server.url
    with pytest.raises(httpx.ConnectError):
        await http.get(url)
    with pytest.raises(httpx.ConnectError):
        await http.get("http://" + "x" * 70 + ".invalid/")


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path / "server.pem"
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        + made.public_bytes(serialization.Encoding.PEM)
    )
    return path


async def test_tls_is_spoken_and_certificates_are_checked(certificate: Path, http: httpx.AsyncClient) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    trusting = ssl.create_default_context(cafile=str(certificate))
    async with serving(Server(OK), context) as server:
        async with upstream_client(trust_env=False, verify=trusting) as client:
            for _ in range(2):
                assert (await client.get(server.url)).content == b"ok"
        assert server.connections == 1
        with pytest.raises(httpx.ConnectError):
            await http.get(server.url)


async def test_proxies_of_the_environment_are_used_only_where_they_are_believed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    async with upstream_client(trust_env=True) as believing, upstream_client(trust_env=False) as direct:
        assert not isinstance(believing._transport, BulkTransport)
        async with serving(Server(OK)) as server:
            assert (await direct.get(server.url)).content == b"ok"
            monkeypatch.delenv("NO_PROXY", raising=False)
            with pytest.raises(httpx.ConnectError):
                await believing.get(server.url.replace("localhost", "gateway.invalid"))
