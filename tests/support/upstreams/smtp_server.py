"""A mail server that stores mail, with STARTTLS, TLS or neither."""

from __future__ import annotations

import asyncio
import base64
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


@dataclass
class SmtpServer:
    """`mails` are the raw messages; `logins` what was authenticated with; `refuse` answers every mail 451."""

    context: ssl.SSLContext | None = None
    implicit: bool = False
    refuse: bool = False
    mails: list[bytes] = field(default_factory=list)
    recipients: list[str] = field(default_factory=list)
    logins: list[bytes] = field(default_factory=list)
    encrypted: list[bool] = field(default_factory=list)
    asked: int = 0
    port: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async def say(line: str) -> None:
            writer.write(line.encode() + b"\r\n")
            await writer.drain()

        self.asked += 1
        secure = self.implicit
        await say("220 ready")
        while line := await reader.readline():
            verb, _, rest = line.decode().strip().partition(" ")
            match verb.upper():
                case "EHLO":
                    more = ["STARTTLS"] if self.context and not secure else ["AUTH PLAIN"]
                    await say("\r\n".join(["250-here", *(f"250-{one}" for one in more), "250 8BITMIME"]))
                case "STARTTLS":
                    await say("220 go ahead")
                    await writer.start_tls(self.context)
                    secure = True
                case "AUTH":
                    self.logins.append(base64.b64decode(rest.partition(" ")[2]))
                    await say("235 welcome")
                case "MAIL" if self.refuse:
                    await say("451 not now, somebody@example.com")
                case "RCPT":
                    self.recipients.append(rest)
                    await say("250 fine")
                case "DATA":
                    await say("354 go ahead")
                    self.mails.append((await reader.readuntil(b"\r\n.\r\n"))[:-3])
                    self.encrypted.append(secure)
                    await say("250 kept")
                case "QUIT":
                    await say("221 bye")
                    break
                case _:
                    await say("250 fine")
        writer.close()


@asynccontextmanager
async def smtp_server(server: SmtpServer) -> AsyncIterator[SmtpServer]:
    context = server.context if server.implicit else None
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0, ssl=context)
    server.port = listening.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listening.close()


def certificate_for_localhost(directory: Path) -> tuple[ssl.SSLContext, Path]:
    """A server's context with a fresh certificate of `localhost`, and the file by which to trust it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    trusted, private = directory / "certificate.pem", directory / "key.pem"
    trusted.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(trusted, private)
    return context, trusted
