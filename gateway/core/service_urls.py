"""Translates DATABASE_URL and REDIS_URL, as vendors write them, for the drivers."""

from __future__ import annotations

import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

_POSTGRES = re.compile(r"postgres(ql)?(\+[a-z0-9_]+)?", re.IGNORECASE)
_DATABASE_FORM: Final = "postgresql://user:password@host:5432/name"
_VALKEY_FORM: Final = "redis://:password@host:6379/0 (or rediss://, valkey://, unix://)"
# Parameters of asyncpg and of SQLAlchemy's dialect that libpq does not have.
_DRIVER_PARAMETERS: Final = {
    "prepared_statement_cache_size",
    "prepared_statement_name_func",
    "statement_cache_size",
    "max_cached_statement_lifetime",
    "max_cacheable_statement_size",
    "async_fallback",
    "direct_tls",
}
# libpq parameters that have no meaning for asyncpg, or that the gateway sets itself.
_IGNORED_PARAMETERS: Final = {
    "channel_binding",
    "client_encoding",
    "connect_timeout",
    "fallback_application_name",
    "gssencmode",
    "keepalives",
    "keepalives_count",
    "keepalives_idle",
    "keepalives_interval",
    "load_balance_hosts",
    "pgbouncer",
    "pool_timeout",
    "connection_limit",
    "schema",
    "sslcompression",
    "sslnegotiation",
    "sslsni",
    "tcp_user_timeout",
    "timeout",
    "command_timeout",
}


@dataclass(frozen=True, slots=True)
class DatabaseAddress:
    """Arguments of SQLAlchemy's `create_async_engine`."""

    url: str
    connect_args: Mapping[str, Any]


def parse_database_url(url: str) -> DatabaseAddress:
    """Translate an address in any form that libpq, SQLAlchemy and vendors use.

    asyncpg parses the address itself: several hosts, `sslmode`, `sslrootcert` and session settings
    (`application_name`) mean the same as for `psql`.

    Raises:
        ValueError: not the address of a PostgreSQL server; the message shows the expected form.
    """
    scheme, separator, _ = url.partition("://")
    if not separator:
        raise ValueError(f"it has no scheme; the expected form is {_DATABASE_FORM}")
    if not _POSTGRES.fullmatch(scheme):
        raise ValueError(f"the gateway needs PostgreSQL; the expected form is {_DATABASE_FORM}")
    try:
        parts = urlsplit(_encode_password(url))
        pairs = parse_qsl(parts.query, keep_blank_values=True)
        for host in parts.netloc.rpartition("@")[2].split(","):
            urlsplit(f"//{host}").port  # noqa: B018 - raises if it is not a number
    except ValueError:
        raise ValueError(
            f"its host or port cannot be read; the expected form is {_DATABASE_FORM}, and "
            "special characters in the password are percent-encoded"
        ) from None
    for repeated in ("host", "port"):  # SQLAlchemy's syntax for several hosts
        values = [value for name, value in pairs if name == repeated]
        if len(values) > 1:
            pairs = [pair for pair in pairs if pair[0] != repeated] + [(repeated, ",".join(values))]
    driver = [(name, value) for name, value in pairs if name in _DRIVER_PARAMETERS]
    rest = [
        ("sslmode" if name == "ssl" else name, _resolve_system_roots(name, value))
        for name, value in pairs
        if name not in _DRIVER_PARAMETERS and name not in _IGNORED_PARAMETERS
    ]
    if not any(name == "application_name" for name, _ in rest):
        rest.append(("application_name", "llm-gateway"))
    dsn = f"postgresql://{parts.netloc}{parts.path}?{urlencode(rest)}"
    return DatabaseAddress(
        "postgresql+asyncpg://" + (f"?{urlencode(driver)}" if driver else ""), {"dsn": dsn}
    )


def normalize_valkey_url(url: str) -> str:
    """Return the address in redis-py's form: `valkey://` becomes `redis://`.

    Raises:
        ValueError: redis-py cannot use it; the message shows the expected form.
    """
    scheme, separator, rest = url.partition("://")
    if not separator:
        raise ValueError(f"it has no scheme; the expected form is {_VALKEY_FORM}")
    scheme = scheme.lower()
    if "sentinel" in scheme or "cluster" in scheme:
        raise ValueError(
            f"{scheme}:// is not supported; use the address of the primary, which has the form {_VALKEY_FORM}"
        )
    if scheme in ("valkey", "valkeys"):
        scheme = scheme.replace("valkey", "redis")
    if scheme not in ("redis", "rediss", "unix"):
        raise ValueError(f"{scheme}:// is not known; the expected form is {_VALKEY_FORM}")
    return f"{scheme}{separator}{rest}"


def check_valkey_url(url: str) -> None:
    """Check that a client can be created for this address.

    Raises:
        ValueError: it cannot; the message shows the expected form.
    """
    from redis.asyncio import ConnectionPool

    known = normalize_valkey_url(url)
    try:
        ConnectionPool.from_url(known).make_connection()  # type: ignore[no-untyped-call]
    except (ValueError, TypeError):
        raise ValueError(
            f"its port, database number or an option cannot be read; the expected form is {_VALKEY_FORM}"
        ) from None


def _encode_password(url: str) -> str:
    """Percent-encode the password, which may contain `/`, `?` or `#` unescaped."""
    scheme, _, rest = url.partition("://")
    found = re.match(r"([^:/?#@]*):([^@]*)@", rest)
    if found is None or re.search(r"/[^/?]*\?\w+=", found[2]):  # the `@` belongs to a parameter
        return url
    return f"{scheme}://{found[1]}:{quote(unquote(found[2]), safe='')}@{rest[found.end() :]}"


def _resolve_system_roots(name: str, value: str) -> str:
    """Replace `sslrootcert=system` by the path of the system's CA file."""
    if name == "sslrootcert" and value == "system":
        return ssl.get_default_verify_paths().cafile or value
    return value
