"""`fetch` over TLS connects to the checked address and requires the name's certificate."""

from __future__ import annotations

import datetime
import ssl
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from gateway.domain.config.tools import ToolsConfig
from gateway.tools.base import ToolError
from gateway.tools.fetch.tool import FetchArguments, FetchTool
from tests.support.upstreams.page_server import PageServer, page


def certificate(folder: Path, *names: str) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Return a server context with a certificate for these names, and a client context that trusts it."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
    now = datetime.datetime.now(datetime.UTC)
    entries: list[x509.GeneralName] = [
        x509.IPAddress(IPv4Address(name)) if name[0].isdigit() else x509.DNSName(name) for name in names
    ]
    built = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(entries), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = folder / "server.pem"
    pem.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + built.public_bytes(serialization.Encoding.PEM)
    )
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(pem)
    return server, ssl.create_default_context(cadata=built.public_bytes(serialization.Encoding.PEM).decode())


async def resolve(host: str, port: int) -> list[str]:
    return ["127.0.0.1"]


async def read(site: PageServer, trust: ssl.SSLContext, host: str) -> str:
    section = {"allow_private": ["127.0.0.1/32"], "ports": [site.port]}
    fetch = FetchTool(ToolsConfig.model_validate({"fetch": section}), resolve, trust)
    try:
        return await fetch.run(FetchArguments(url=f"https://{host}:{site.port}/"))
    finally:
        await fetch.aclose()


async def test_server_name_and_host_are_those_of_the_page(tmp_path: Path) -> None:
    server, trust = certificate(tmp_path, "pages.test")
    asked: list[str | None] = []
    server.sni_callback = lambda sock, name, context: asked.append(name)
    async with PageServer(tls=server) as site:
        site.pages["/"] = page("read over TLS")
        found = await read(site, trust, "pages.test")

    assert "read over TLS" in found
    assert asked == ["pages.test"]
    assert site.asked[0].headers["host"] == f"pages.test:{site.port}"


async def test_a_certificate_of_another_name_is_rejected(tmp_path: Path) -> None:
    server, trust = certificate(tmp_path, "pages.test", "127.0.0.1")
    async with PageServer(tls=server) as site:
        site.pages["/"] = page("for pages.test only")
        with pytest.raises(ToolError, match="certificate"):
            await read(site, trust, "other.test")

        assert site.asked == []


async def test_an_ip_address_may_have_a_certificate(tmp_path: Path) -> None:
    server, trust = certificate(tmp_path, "127.0.0.1")
    async with PageServer(tls=server) as site:
        site.pages["/"] = page("by address")

        assert "by address" in await read(site, trust, "127.0.0.1")


async def test_an_untrusted_certificate_is_rejected(tmp_path: Path) -> None:
    server, _ = certificate(tmp_path, "pages.test")
    async with PageServer(tls=server) as site:
        with pytest.raises(ToolError, match="certificate"):
            await read(site, ssl.create_default_context(), "pages.test")
