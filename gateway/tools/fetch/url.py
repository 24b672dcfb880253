"""Parses a page's URL once, so that the URL that is checked is the one that is requested."""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from urllib.parse import quote, urljoin

import idna

from gateway.tools.base import ToolError

MAX_URL_CHARACTERS = 2048

_URL = re.compile(r"(https?)://([^/?#]*)([^#]*)(?:#.*)?", re.IGNORECASE)
_AUTHORITY = re.compile(r"(\[[0-9A-Fa-f:.]{2,45}\]|[^:\[\]]+)(?::([0-9]{0,5}))?")
_HOST_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
# What a resolver may interpret as part of an IPv4 address: such a host is an address, not a name.
_NUMERIC_LABEL = re.compile(r"[0-9]+|0x[0-9a-f]*")
_FORBIDDEN_CHARACTERS = re.compile(r"[\x00-\x1f\x7f-\x9f\\\ud800-\udfff]")
_DEFAULT_PORTS = {"http": 80, "https": 443}

_NOT_A_URL = "This is not a valid URL; use one such as https://example.org/page."
_INVALID_HOST = "The host in this URL is not valid; use a name such as example.org."


@dataclass(frozen=True, slots=True)
class PageURL:
    """The URL of a page.

    `host` is lower-case ASCII without trailing dot or brackets; `address` is set if it is not a name.
    `target` is the percent-encoded path and query.
    """

    scheme: str
    host: str
    address: IPv4Address | IPv6Address | None
    port: int
    target: str

    @property
    def authority(self) -> str:
        """The value of the Host header."""
        host = f"[{self.host}]" if isinstance(self.address, IPv6Address) else self.host
        return host if self.port == _DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def url(self) -> str:
        """The normalised URL."""
        return f"{self.scheme}://{self.authority}{self.target}"

    def join(self, location: str) -> PageURL:
        """Return the URL of a redirect from this page.

        Raises ToolError if it is not valid.
        """
        try:
            return parse_url(urljoin(self.url, location.strip(" \t")))
        except ValueError:
            raise ToolError(_NOT_A_URL, kind="bad_address") from None


def parse_url(text: str) -> PageURL:
    """Parse an http(s) URL.

    Raises ToolError for anything unusual, such as credentials or encoded hosts.
    """
    text = text.strip(" \t\r\n")
    if len(text) > MAX_URL_CHARACTERS:
        raise ToolError(f"The URL is longer than {MAX_URL_CHARACTERS} characters.", kind="bad_address")
    if _FORBIDDEN_CHARACTERS.search(text):
        raise ToolError(
            "The URL contains backslashes or control characters; remove them.", kind="bad_address"
        )
    if (match := _URL.fullmatch(text)) is None:
        raise ToolError("Only http:// and https:// URLs of web pages can be fetched.", kind="bad_address")
    scheme, authority, tail = match[1].lower(), match[2], match[3]
    if "@" in authority:
        raise ToolError("The URL contains a user name or password; remove it.", kind="bad_address")
    if (parts := _AUTHORITY.fullmatch(authority)) is None:
        raise ToolError(_NOT_A_URL, kind="bad_address")
    host, address = _parse_host(parts[1])
    port = int(parts[2]) if parts[2] else _DEFAULT_PORTS[scheme]
    target = quote(tail, safe="/?:@!$&'()*+,;=~%")
    return PageURL(scheme, host, address, port, target if target.startswith("/") else f"/{target}")


def _parse_host(written: str) -> tuple[str, IPv4Address | IPv6Address | None]:
    if written.startswith("["):
        try:
            address = IPv6Address(written[1:-1])
        except ValueError:
            raise ToolError(_INVALID_HOST, kind="bad_address") from None
        return address.compressed, address
    name = _to_ascii(written).lower().removesuffix(".")
    labels = name.split(".")
    if len(name) > 253 or not all(map(_HOST_LABEL.fullmatch, labels)):
        raise ToolError(_INVALID_HOST, kind="bad_address")
    if not _NUMERIC_LABEL.fullmatch(labels[-1]):
        return name, None
    try:
        # Only four decimal numbers: resolvers disagree about 2130706433, 0x7f.1 and 0177.0.0.1.
        return name, IPv4Address(name)
    except ValueError:
        raise ToolError(
            "Write numeric hosts as four decimal numbers, or use a name.", kind="bad_address"
        ) from None


def _to_ascii(host: str) -> str:
    """Convert an internationalised host name to ASCII, as browsers do (UTS 46)."""
    if host.isascii():
        return host
    if len(host) > 253:
        raise ToolError(_INVALID_HOST, kind="bad_address")
    try:
        return idna.encode(host, uts46=True, std3_rules=True).decode("ascii")
    except UnicodeError:
        raise ToolError(_INVALID_HOST, kind="bad_address") from None
