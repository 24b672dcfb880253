"""The shipped nginx configuration in a real nginx."""

from __future__ import annotations

import asyncio
import gzip
import shutil
import socket
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.support.paths import PROJECT

CONFIG = PROJECT / "nginx"
NGINX = shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin:/opt/homebrew/bin")

pytestmark = pytest.mark.skipif(
    NGINX is None, reason="nginx is not installed (Debian: apt-get install nginx)"
)

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\n"


@dataclass
class Upstream:
    """A minimal gateway; `requests` has the received request heads by path."""

    port: int = 0
    go: asyncio.Event = field(default_factory=asyncio.Event)
    client_left: asyncio.Event = field(default_factory=asyncio.Event)
    requests: list[dict[str, str]] = field(default_factory=list)
    connections: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
                headers = dict(line.lower().split(": ", 1) for line in head[1:] if ": " in line)
                method, path, _ = head[0].split(" ")
                self.requests.append({"method": method, "path": path, **headers})
                await reader.readexactly(int(headers.get("content-length", "0")))
                if path.startswith("/drop"):
                    return
                await self.answer(path, reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            writer.close()

    async def answer(self, path: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if "stream" not in path:
            body = b'{"answer":"' + b"a" * 4000 + b'"}'
            writer.write(
                b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(body)
            )
            writer.write(body)
            return
        # nginx buffers a response without chunks, which ends with the connection.
        chunked = "until-close" not in path
        writer.write(HEAD + (b"transfer-encoding: chunked\r\n" if chunked else b"connection: close\r\n"))
        writer.write(b"x-accel-buffering: no\r\n\r\n" if path.startswith("/header") else b"\r\n")
        self.event(writer, b"data: first\n\n", chunked)
        left = asyncio.create_task(reader.read(1))
        went_on = asyncio.create_task(self.go.wait())
        await asyncio.wait({left, went_on}, return_when=asyncio.FIRST_COMPLETED)
        if left.done():
            self.client_left.set()
            went_on.cancel()
            raise ConnectionError
        left.cancel()
        self.event(writer, b"data: second\n\n", chunked)
        if not chunked:
            raise ConnectionError
        writer.write(b"0\r\n\r\n")

    @staticmethod
    def event(writer: asyncio.StreamWriter, data: bytes, chunked: bool) -> None:
        writer.write(b"%x\r\n%s\r\n" % (len(data), data) if chunked else data)


@pytest.fixture
def prefix() -> Iterator[Path]:
    with TemporaryDirectory(prefix="nginx-test-") as directory:
        yield Path(directory)


def render(
    prefix: Path, *, listen: int, upstream: int, tls: int | None = None, second: int | None = None
) -> Path:
    """Write the shipped configuration with other ports and with all output below `prefix`.

    `second` is the port of a second replica.
    """
    folder = prefix / "nginx"
    shutil.copytree(CONFIG, folder, ignore=shutil.ignore_patterns("*.pem"))
    replacements = [
        ("listen 8080 default_server", f"listen 127.0.0.1:{listen} default_server"),
        ("server 127.0.0.1:8000 ", f"server 127.0.0.1:{upstream} "),
        (" /tmp/", f" {prefix}/"),
        ("/dev/stdout", f"{prefix}/access.log"),
        ("error_log stderr", f"error_log {prefix}/error.log"),
        ("worker_processes auto", "worker_processes 1"),
    ]
    if second is not None:
        replacements.append(("# server 10.0.0.12:8000 ", f"server 127.0.0.1:{second} "))
    if tls is not None:
        replacements.append(("listen 8443 ", f"listen 127.0.0.1:{tls} "))
        certify(folder / "certs")
    path = folder / ("nginx.conf" if tls is None else "nginx-tls.conf")
    files = [path, *(folder / "snippets").glob("*.conf")]
    text = {file: file.read_text() for file in files}
    for old, new in replacements:
        assert any(old in content for content in text.values()), f"{path.name} no longer has {old!r}"
        text = {file: content.replace(old, new) for file, content in text.items()}
    for file, content in text.items():
        file.write_text(content)
    # As root, nginx runs its workers as another user, which must be able to read the temporary files.
    prefix.chmod(0o755)
    return path


def certify(folder: Path) -> None:
    """Create a key and a certificate for localhost that is valid for a day."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    (folder / "fullchain.pem").write_bytes(certificate.public_bytes(pem))
    (folder / "privkey.pem").write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


async def run(*arguments: str) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        str(NGINX), *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    output, _ = await process.communicate()
    return process.returncode or 0, output.decode()


@asynccontextmanager
async def in_front_of(
    prefix: Path,
    upstream_port: int,
    *,
    tls: int | None = None,
    second: int | None = None,
    change: tuple[str, str] | None = None,
) -> AsyncIterator[httpx.AsyncClient]:
    """Run nginx and yield a client of its plain port; `change` replaces a line of the server snippet."""
    port = free_port()
    path = render(prefix, listen=port, upstream=upstream_port, tls=tls, second=second)
    if change is not None:
        snippet = path.parent / "snippets" / "server.conf"
        assert change[0] in snippet.read_text()
        snippet.write_text(snippet.read_text().replace(*change))
    process = await asyncio.create_subprocess_exec(
        str(NGINX), "-p", str(prefix), "-c", str(path), "-e", str(prefix / "error.log"), "-g", "daemon off;"
    )
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=20) as http:
            for _ in range(500):
                try:
                    _, writer = await asyncio.open_connection("127.0.0.1", port)
                except OSError:
                    assert process.returncode is None, (prefix / "error.log").read_text()
                    await asyncio.sleep(0.01)
                else:
                    writer.close()
                    break
            yield http
    finally:
        process.terminate()
        await process.wait()


@pytest.fixture
async def upstream() -> AsyncIterator[Upstream]:
    fake = Upstream()
    server = await asyncio.start_server(fake.serve, "127.0.0.1", 0)
    fake.port = server.sockets[0].getsockname()[1]
    yield fake
    server.close()


@pytest.mark.parametrize("tls", [False, True])
async def test_nginx_accepts_the_shipped_configuration(prefix: Path, tls: bool) -> None:
    path = render(prefix, listen=free_port(), upstream=free_port(), tls=free_port() if tls else None)
    code, output = await run("-t", "-p", str(prefix), "-c", str(path), "-e", str(prefix / "error.log"))
    assert code == 0, output
    assert "warn" not in output


@pytest.mark.parametrize(
    "path",
    [
        "/api/chat/stream",
        "/api/chat/stream/until-close",
        "/v1/chat/completions/?stream",
        "/v1/chat/completions?stream&until-close",
        "/header/stream",
        "/header/stream/until-close",
    ],
)
async def test_the_first_event_arrives_before_the_stream_ends(
    prefix: Path, upstream: Upstream, path: str
) -> None:
    async with in_front_of(prefix, upstream.port) as http:
        request = http.stream("POST", path, json={"message": "hi"}, headers={"accept-encoding": "gzip"})
        async with request as answer:
            assert answer.status_code == 200
            assert "content-encoding" not in answer.headers
            pieces = answer.aiter_raw()
            assert await anext(pieces) == b"data: first\n\n"
            assert not upstream.go.is_set()
            upstream.go.set()
            assert await anext(pieces) == b"data: second\n\n"


async def test_the_upstream_detects_a_client_disconnect_at_once(prefix: Path, upstream: Upstream) -> None:
    async with in_front_of(prefix, upstream.port) as http:
        async with http.stream("POST", "/api/chat/stream", json={}) as answer:
            assert await anext(answer.aiter_raw()) == b"data: first\n\n"
        await upstream.client_left.wait()


async def test_the_gateway_receives_client_address_and_request_id(prefix: Path, upstream: Upstream) -> None:
    async with in_front_of(prefix, upstream.port) as http:
        forged = {
            "x-request-id": "mine-1",
            "x-forwarded-for": "198.51.100.1",
            "x-forwarded-prefix": "/health",
            "forwarded": "for=198.51.100.1",
        }
        await http.get("/api/models?a=%20b", headers=forged)
        await http.get("/api/models", headers={"x-request-id": "not an id"})
    first, second = upstream.requests
    assert first["x-request-id"] == "mine-1"
    assert first["x-forwarded-for"] == "127.0.0.1", "a client does not choose its address"
    assert "x-forwarded-prefix" not in first
    assert "forwarded" not in first
    assert first["path"] == "/api/models?a=%20b"
    assert len(second["x-request-id"]) == 32
    assert upstream.connections == 1, "connections to the gateway are kept"


async def test_json_is_compressed_if_the_client_accepts_it(prefix: Path, upstream: Upstream) -> None:
    async with in_front_of(prefix, upstream.port) as http:
        async with http.stream("GET", "/api/models", headers={"accept-encoding": "gzip"}) as answer:
            assert answer.headers["content-encoding"] == "gzip"
            body = b"".join([piece async for piece in answer.aiter_raw()])
        assert b"aaaa" in gzip.decompress(body)


async def test_a_post_is_never_sent_twice(prefix: Path, upstream: Upstream) -> None:
    async with in_front_of(prefix, upstream.port) as http:
        await http.get("/api/models")
        answer = await http.post("/drop/it", json={"message": "hi"})
    assert [request["path"] for request in upstream.requests if request["method"] == "POST"] == ["/drop/it"]
    assert answer.status_code == 503
    assert answer.json()["error"]["code"] == "overloaded"
    assert answer.headers["retry-after"] == "1"


async def test_errors_of_nginx_have_the_gateways_format(prefix: Path, upstream: Upstream) -> None:
    async with in_front_of(prefix, upstream.port) as http:
        large = await http.post("/api/chat/", content=b"a" * (10 * 1024 * 1024 + 1))
        metrics = await http.get("/metrics/")
        allowed = await http.post("/api/models", content=b"a" * (10 * 1024 * 1024))
    for answer, status, code in ((large, 413, "body_too_large"), (metrics, 404, "not_found")):
        assert answer.status_code == status
        assert answer.headers["content-type"] == "application/json"
        error = answer.json()["error"]
        assert set(error) == {"type", "code", "message", "param", "request_id"}
        assert error["code"] == code
        assert error["request_id"] == answer.headers["x-request-id"]
    assert allowed.status_code == 200
    assert [request["path"] for request in upstream.requests] == ["/api/models"]


async def test_without_a_gateway_the_response_is_a_503_in_the_gateways_format(prefix: Path) -> None:
    async with in_front_of(prefix, free_port()) as http:
        answer = await http.get("/api/models")
    assert answer.status_code == 503
    assert answer.json()["error"]["type"] == "unavailable_error"


async def test_over_tls_streams_are_not_buffered_and_hsts_is_set(prefix: Path, upstream: Upstream) -> None:
    port = free_port()
    async with in_front_of(prefix, upstream.port, tls=port):
        trust = ssl.create_default_context(cafile=str(prefix / "nginx" / "certs" / "fullchain.pem"))
        async with (
            httpx.AsyncClient(base_url=f"https://localhost:{port}", verify=trust) as http,
            http.stream("POST", "/api/chat/stream", json={}) as answer,
        ):
            assert answer.headers["strict-transport-security"] == "max-age=31536000"
            pieces = answer.aiter_raw()
            assert await anext(pieces) == b"data: first\n\n"
            upstream.go.set()
            assert await anext(pieces) == b"data: second\n\n"
    assert upstream.requests[0]["x-forwarded-proto"] == "https"


async def test_the_plain_port_redirects_everything_except_health_checks_to_tls(
    prefix: Path, upstream: Upstream
) -> None:
    async with in_front_of(prefix, upstream.port, tls=free_port()) as http:
        sent_on = await http.post("/api/auth/login?a=b", json={"password": "secret"})
        assert sent_on.status_code == 308
        assert sent_on.headers["location"] == "https://127.0.0.1/api/auth/login?a=b"
        assert (await http.get("/health/live")).status_code == 200
    assert [request["path"] for request in upstream.requests] == ["/health/live"]


async def test_a_flood_of_logins_from_one_address_is_rejected_in_the_gateways_format(
    prefix: Path, upstream: Upstream
) -> None:
    async with in_front_of(prefix, upstream.port) as http:
        answers = [await http.post("/api/auth/login", json={}) for _ in range(80)]
        assert (await http.get("/api/models")).status_code == 200, "other routes are not concerned"
    refused = [answer for answer in answers if answer.status_code == 429]
    assert 10 <= len(refused) <= 30
    assert refused[0].json()["error"]["code"] == "rate_limited"
    assert refused[0].headers["retry-after"] == "1"
    assert len([request for request in upstream.requests if "login" in request["path"]]) == 80 - len(refused)


@pytest.mark.parametrize("size", [20_000, 3_000_000])
@pytest.mark.parametrize("where", ["path", "query"])
async def test_a_url_that_is_too_long_is_a_414_in_the_gateways_format(
    prefix: Path, upstream: Upstream, where: str, size: int
) -> None:
    async with in_front_of(prefix, upstream.port) as http:
        assert http.base_url.port is not None
        reader, writer = await asyncio.open_connection("127.0.0.1", http.base_url.port)
        target = "/" + "a" * size if where == "path" else "/api/models?" + "a" * size
        writer.write(f"GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 414 ")
        assert b"application/json" in head
        assert b'"code":"invalid_request"' in await reader.readuntil(b"}}")
        writer.close()
        assert (await http.get("/.nginx/uri_too_long")).status_code == 404


async def test_a_hung_replica_is_excluded_and_reads_go_to_the_other(prefix: Path, upstream: Upstream) -> None:
    hanging = asyncio.Event()
    asked = 0

    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal asked
        await reader.readuntil(b"\r\n\r\n")
        asked += 1
        await hanging.wait()
        writer.close()

    hung = await asyncio.start_server(hang, "127.0.0.1", 0)
    port = hung.sockets[0].getsockname()[1]
    shorter = ("proxy_read_timeout 30s;", "proxy_read_timeout 300ms;")
    async with in_front_of(prefix, upstream.port, second=port, change=shorter) as http:
        for _ in range(20):
            assert (await http.get("/api/models")).status_code == 200
        assert 1 <= asked <= 3  # one request detects it; more only if the test took longer than 10 s
        answers = [await http.post("/api/chat", json={}) for _ in range(20)]
        assert [answer.status_code for answer in answers] == [200] * 20
        assert asked <= 3
    hanging.set()
    hung.close()


async def test_an_unreachable_replica_costs_no_request(prefix: Path, upstream: Upstream) -> None:
    async with in_front_of(prefix, upstream.port, second=free_port()) as http:
        for _ in range(10):
            assert (await http.post("/api/chat", json={})).status_code == 200
            assert (await http.get("/api/models")).status_code == 200
