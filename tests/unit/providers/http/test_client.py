"""The shared HTTP client: connections, and misbehaving servers and proxies."""

from __future__ import annotations

import asyncio
import datetime
import socket
import ssl
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from gateway.core.exceptions import UpstreamBroken, UpstreamError, UpstreamTimeout, UpstreamUnavailable
from gateway.providers.http import exchange
from gateway.providers.http.client import upstream_client
from gateway.providers.registry import ProviderMisconfigured

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
RESET = b"(reset)"
CLOSE = b"(close)"
UPGRADE = b"HTTP/1.1 101 Switching\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n"
PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


class Server:
    """Answers the requests with one of `answers` after the other; the last one for all further.

    An answer that ends with CLOSE or RESET ends its connection so.
    """

    def __init__(self, *answers: bytes) -> None:
        self.answers = list(answers)
        self.connections = 0
        self.requests: list[bytes] = []
        self.ended = asyncio.Event()
        self.address = ""

    @property
    def url(self) -> str:
        return f"http://{self.address}/x"

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while await self.answer(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError):
            return
        finally:
            writer.close()
            self.ended.set()

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = await reader.readuntil(b"\r\n\r\n")
        lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length")]
        self.requests.append(
            head + await reader.readexactly(int(lengths[0].split(b":")[1]) if lengths else 0)
        )
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        writer.write(answer.removesuffix(CLOSE).removesuffix(RESET))
        await writer.drain()
        if answer.endswith(RESET):
            sock: socket.socket = writer.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()
        return not answer.endswith((CLOSE, RESET))


@asynccontextmanager
async def serving(server: Server, context: ssl.SSLContext | None = None) -> AsyncIterator[Server]:
    listening = await asyncio.start_server(server.handle, "127.0.0.1", 0, ssl=context)
    server.address = f"localhost:{listening.sockets[0].getsockname()[1]}"
    try:
        yield server
    finally:
        listening.close()


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    async with upstream_client(trust_env=False) as client:
        yield client


async def post(http: httpx.AsyncClient, url: str, seconds: float = 5, body: bytes = b"{}") -> bytes:
    """Send like a provider: return the body of a successful response, or raise a gateway error."""
    limits = dict.fromkeys(("connect", "read", "write", "pool"), seconds)
    request = httpx.Request("POST", url, content=body, extensions={"timeout": limits})
    response = await exchange.send(http, request)
    try:
        return await exchange.read_body(response)
    finally:
        await response.aclose()


async def test_a_connection_is_reused(http: httpx.AsyncClient) -> None:
    async with serving(Server(OK)) as server:
        for body in (b"", b"abc"):
            assert await post(http, server.url, body=body) == b"ok"
    assert server.connections == 1
    assert server.requests[1].endswith(b"\r\n\r\nabc")


async def test_concurrent_requests_use_separate_connections(http: httpx.AsyncClient) -> None:
    async with serving(Server(OK)) as server:
        answers = await asyncio.gather(*(post(http, server.url) for _ in range(150)))
    assert set(answers) == {b"ok"}
    assert server.connections == 150


async def test_buffered_data_is_delivered_as_one_chunk(http: httpx.AsyncClient) -> None:
    chunks = b"".join(b"1\r\n%d\r\n" % n for n in range(10)) + b"0\r\n\r\n"
    async with serving(Server(CHUNKED + chunks)) as server, http.stream("GET", server.url) as response:
        assert [piece async for piece in response.aiter_raw()] == [b"0123456789"]


@pytest.mark.parametrize(
    ("answer", "body"),
    [
        (b"HTTP/1.1 200 OK\r\n\r\nall of it" + CLOSE, b"all of it"),
        (b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok" + CLOSE, b"ok"),
        (b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n" + OK, b"ok"),
        (b"HTTP/1.1 200 OK\r\nx: " + b"y" * 60_000 + b"\r\ncontent-length: 2\r\n\r\nok", b"ok"),
        (OK + b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nbad", b"ok"),
    ],
    ids=["until the close", "said to close", "interim answer", "long header", "surplus answer"],
)
async def test_unusual_responses_do_not_affect_the_next_request(
    http: httpx.AsyncClient, answer: bytes, body: bytes
) -> None:
    async with serving(Server(answer, OK)) as server:
        assert await post(http, server.url) == body
        assert await post(http, server.url) == b"ok"


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (CLOSE, UpstreamUnavailable),
        (RESET, UpstreamUnavailable),
        (b"HTTP/1.1 200" + CLOSE, UpstreamUnavailable),
        (b"SSH-2.0-OpenSSH_9.9\r\n", UpstreamBroken),
        (UPGRADE, UpstreamBroken),
        (b"HTTP/1.1 200 OK\r\nx: " + b"y" * 100_000 + b"\r\n\r\n", UpstreamBroken),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nok" + CLOSE, UpstreamBroken),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nok" + RESET, UpstreamBroken),
        (CHUNKED + b"2\r\nok\r\n" + CLOSE, UpstreamBroken),
        (CHUNKED + b"zz\r\n", UpstreamBroken),
        (OK + b"noise", UpstreamBroken),
    ],
)
async def test_a_malformed_or_truncated_response_is_an_error_without_retry(
    http: httpx.AsyncClient, answer: bytes, error: type[UpstreamError]
) -> None:
    async with serving(Server(answer, OK)) as server:
        with pytest.raises(UpstreamError) as caught:
            await post(http, server.url)
        # A reset may overtake data that was sent before it.
        assert type(caught.value) is error or (answer.endswith(RESET) and error is UpstreamBroken)
        assert len(server.requests) == 1
        assert await post(http, server.url) == b"ok"
    assert server.connections == 2


@pytest.mark.parametrize("ending", [CLOSE, RESET])
async def test_a_request_is_not_repeated_when_a_reused_connection_closes(
    http: httpx.AsyncClient, ending: bytes
) -> None:
    async with serving(Server(OK, ending, OK)) as server:
        assert await post(http, server.url) == b"ok"
        with pytest.raises(UpstreamUnavailable):
            await post(http, server.url)
        assert (len(server.requests), server.connections) == (2, 1)


async def test_a_closed_idle_connection_is_not_reused(http: httpx.AsyncClient) -> None:
    async with serving(Server(OK + CLOSE, OK)) as server:
        assert await post(http, server.url) == b"ok"
        await asyncio.wait_for(server.ended.wait(), 30)
        await asyncio.sleep(0.01)  # on loopback, the close is visible in the next iteration of the event loop
        assert await post(http, server.url) == b"ok"
    assert server.connections == 2


async def test_silence_is_a_timeout_before_and_within_a_response(http: httpx.AsyncClient) -> None:
    for answer in (b"", b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nok"):
        async with serving(Server(answer)) as server:
            with pytest.raises(UpstreamTimeout):
                await post(http, server.url, 0.05)


async def test_a_refused_connection_is_unavailable(http: httpx.AsyncClient) -> None:
    async with serving(Server(OK)) as server:
        url = server.url
    for address in (url, "http://gateway.invalid/"):
        with pytest.raises(UpstreamUnavailable):
            await post(http, address)
        health = await exchange.probe_url(http, address, {})
        assert not health.reachable
        assert "cannot be reached" in health.detail


async def test_a_slow_reader_applies_backpressure(http: httpx.AsyncClient) -> None:
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


async def test_cookies_are_neither_stored_nor_sent(http: httpx.AsyncClient) -> None:
    cookie = b"HTTP/1.1 200 OK\r\nset-cookie: session=1; path=/\r\ncontent-length: 2\r\n\r\nok"
    async with serving(Server(cookie)) as server:
        for _ in range(2):
            await post(http, server.url)
            await http.get(server.url)
    assert b"session" not in b"".join(server.requests)


async def test_compression_is_not_requested(http: httpx.AsyncClient) -> None:
    async with serving(Server(OK)) as server:
        await post(http, server.url)
    assert b"accept-encoding: identity" in server.requests[0].lower()
    assert b"gzip" not in server.requests[0].lower()


async def test_credentials_in_a_url_are_sent_as_a_header(http: httpx.AsyncClient) -> None:
    async with serving(Server(OK)) as server:
        assert await post(http, server.url.replace("//", "//user:pass@")) == b"ok"
    assert b"authorization: basic dxnlcjpwyxnz" in server.requests[0].lower()
    assert b"pass@" not in server.requests[0]


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


async def test_certificates_are_verified(certificate: Path, http: httpx.AsyncClient) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    trusting = ssl.create_default_context(cafile=str(certificate))
    async with serving(Server(OK), context) as server:
        url = server.url.replace("http:", "https:")
        async with upstream_client(trust_env=False, verify=trusting) as client:
            for _ in range(2):
                assert await post(client, url) == b"ok"
        assert server.connections == 1
        with pytest.raises(UpstreamUnavailable):
            await post(http, url)


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in PROXIES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    return monkeypatch


async def test_the_environments_proxy_is_used_except_for_no_proxy(
    environment: pytest.MonkeyPatch,
) -> None:
    async with serving(Server(OK)) as proxy, serving(Server(OK)) as server:
        environment.setenv("HTTP_PROXY", f"http://user:pass@{proxy.address}")
        environment.setenv("NO_PROXY", "localhost")
        async with upstream_client() as believing, upstream_client(trust_env=False) as direct:
            assert await post(believing, "http://gateway.invalid/x") == b"ok"
            assert await post(believing, server.url) == b"ok"
            with pytest.raises(UpstreamUnavailable):
                await post(direct, "http://gateway.invalid/x")
    assert proxy.requests[0].startswith(b"POST http://gateway.invalid/x HTTP/1.1\r\n")
    assert b"proxy-authorization: basic" in proxy.requests[0].lower()
    assert (len(proxy.requests), len(server.requests)) == (1, 1)


@pytest.mark.parametrize("refusal", [b"HTTP/1.1 403 No\r\ncontent-length: 0\r\n\r\n", CLOSE])
async def test_a_rejecting_proxy_is_unavailable(environment: pytest.MonkeyPatch, refusal: bytes) -> None:
    async with serving(Server(refusal)) as proxy:
        environment.setenv("ALL_PROXY", f"http://{proxy.address}")
        async with upstream_client() as http:
            with pytest.raises(UpstreamUnavailable):
                await post(http, "https://gateway.invalid/x")
    assert proxy.requests[0].startswith(b"CONNECT gateway.invalid:443")


@pytest.mark.parametrize("proxy", ["socks5://localhost:1080", "ftp://localhost", "http://[::1"])
def test_an_unsupported_proxy_is_reported_at_startup(environment: pytest.MonkeyPatch, proxy: str) -> None:
    environment.setenv("ALL_PROXY", proxy)
    with pytest.raises(ProviderMisconfigured, match="ALL_PROXY"):
        upstream_client()
