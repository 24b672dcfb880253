"""Checks of the machine and surrounding services: disk, clock, mail, tracing."""

from __future__ import annotations

import os
import shutil
import smtplib
import ssl
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

import httpx

from gateway.cli.checks.finding import Finding
from gateway.cli.database import clock_offset
from gateway.cli.errors import first_line
from gateway.core.email.mailer import FileMailer, SmtpMailer, create_mailer
from gateway.core.settings import Settings

_FULL_BYTES, _LOW_BYTES = 512 * 1024**2, 2 * 1024**3
# Access tokens live for fifteen minutes and tolerate some seconds; leases use the database's clock.
_SKEW_NOTICE_SECONDS, _SKEW_FAIL_SECONDS = 1.0, 10.0
_SECONDS = 5.0


def check_disk(settings: Settings) -> Finding:
    """Check the free space for images, embedded engines and mails."""
    folder = _nearest_existing(settings.data_dir)
    free = shutil.disk_usage(folder).free
    free_space = f"{free / 1024**3:.1f} GiB free for DATA_DIR ({settings.data_dir})."
    if not os.access(folder, os.W_OK):
        return Finding("disk", False, f"{folder} is not writable. Change its owner, or set DATA_DIR.")
    if free < _FULL_BYTES:
        return Finding(
            "disk", False, f"Only {free_space} Free some space, or move DATA_DIR to a larger disk."
        )
    if free < _LOW_BYTES:
        return Finding("disk", None, f"Only {free_space} Free some space before images and logs fill it.")
    return Finding("disk", True, free_space)


def check_clock(settings: Settings) -> Finding | None:
    """Compare this machine's clock with PostgreSQL's.

    None if the database is unreachable.
    """
    try:
        ahead = clock_offset(settings.database_url.get_secret_value())
    except Exception:  # noqa: BLE001 - the database's own finding says why
        return None
    if abs(ahead) < _SKEW_NOTICE_SECONDS:
        return Finding("clock", True, "This machine's clock agrees with the database's.")
    direction = "ahead of" if ahead > 0 else "behind"
    return Finding(
        "clock",
        False if abs(ahead) >= _SKEW_FAIL_SECONDS else None,
        f"The database's clock is {abs(ahead):.1f} s {direction} this machine's. Sign-ins and leases "
        f"depend on both: "
        "synchronize both with NTP (chrony or systemd-timesyncd).",
    )


def check_mail(settings: Settings) -> Finding:
    """Check whether password reset mails can be delivered, without sending one."""
    mailer = create_mailer(settings)
    if isinstance(mailer, FileMailer):
        return Finding(
            "mail",
            None,
            f"Password reset mails are written to {settings.data_dir / 'mailbox'}. Set SMTP_HOST "
            f"and SMTP_FROM "
            "to send them.",
        )
    assert isinstance(mailer, SmtpMailer)
    try:
        mailer.check_login(_SECONDS)
    except Exception as error:
        if (cure := _mail_remedy(error, settings)) is None:
            raise
        return Finding("mail", False, f"{settings.smtp_host} {cure}")
    return Finding("mail", True, f"{settings.smtp_host} accepts mail from this machine.")


def _mail_remedy(error: Exception, settings: Settings) -> str | None:
    if isinstance(error, smtplib.SMTPAuthenticationError):
        return "rejects the credentials: check SMTP_USER and SMTP_PASSWORD."
    if isinstance(error, smtplib.SMTPNotSupportedError):
        return "does not support STARTTLS: try SMTP_TLS=implicit (port 465), or none in a trusted network."
    if isinstance(error, ssl.SSLError):
        return (
            f"does not support TLS with SMTP_TLS={settings.smtp_tls}, or its certificate is not trusted: "
            "port 587 is starttls, 465 implicit, 25 none."
        )
    if isinstance(error, OSError | smtplib.SMTPException):
        return f"is unreachable ({first_line(error)}): check SMTP_HOST, SMTP_PORT and the firewall."
    return None


def check_tracing() -> Iterator[Finding]:
    """Check whether the trace collector accepts spans, by exporting none."""
    endpoint = os.environ.get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "")
    if base := os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT", ""):
        endpoint = endpoint or f"{base.rstrip('/')}/v1/traces"
    langsmith = os.environ.get("LANGSMITH_TRACING", "").lower() in ("true", "1")
    if not endpoint and not langsmith:
        yield Finding("traces", None, "Off. Set OTEL_EXPORTER_OTLP_ENDPOINT to export traces to a collector.")
    if endpoint:
        yield _check_collector(endpoint)
    if langsmith and not os.environ.get("LANGSMITH_API_KEY"):
        yield Finding("langsmith", False, "LANGSMITH_TRACING is set without LANGSMITH_API_KEY. Set both.")
    elif langsmith:
        yield Finding("langsmith", True, "Traces are exported to LangSmith. Its API key was not tested.")


def _check_collector(endpoint: str) -> Finding:
    if os.environ.get("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf") == "grpc":
        cure = "OTEL_EXPORTER_OTLP_PROTOCOL=grpc is not supported. Use http/protobuf, usually on port 4318."
        return Finding("traces", False, cure)
    pairs = os.environ.get("OTEL_EXPORTER_OTLP_HEADERS", "").split(",")
    headers = {
        name.strip(): unquote(value.strip())
        for name, separator, value in (pair.partition("=") for pair in pairs)
        if separator
    }
    try:
        answer = httpx.post(
            endpoint,
            content=b"",
            headers={**headers, "content-type": "application/x-protobuf"},
            timeout=_SECONDS,
        )
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
        return Finding(
            "traces",
            False,
            f"No collector is reachable at the OTLP endpoint ({type(error).__name__}). Check that it accepts "
            "OTLP over HTTP, usually on port 4318 (4317 is gRPC).",
        )
    if answer.is_success:
        return Finding("traces", True, "The collector accepts traces.")
    if answer.status_code in (401, 403):
        cure = "rejects the credentials: check OTEL_EXPORTER_OTLP_HEADERS."
    elif answer.status_code in (404, 405):
        cure = "has no such path: set OTEL_EXPORTER_OTLP_ENDPOINT to its base URL; /v1/traces is appended."
    else:
        cure = f"answers with HTTP {answer.status_code}: check its own log."
    return Finding("traces", False, f"The collector {cure}")


def _nearest_existing(path: Path) -> Path:
    """Return the path itself or its nearest existing parent."""
    path = path.resolve()
    return path if path.exists() else _nearest_existing(path.parent)
