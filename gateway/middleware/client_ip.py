"""The client's address, scheme and path prefix, from trusted proxies' headers."""

from __future__ import annotations

import re
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_PATH_PREFIX = re.compile(rb"(/[A-Za-z0-9._~-]{1,64}){0,8}/?")


class ClientAddresses:
    """The trusted proxies, as a comma-separated list of addresses and networks.

    Raises:
        ValueError: an entry of `trusted` is neither.
    """

    def __init__(self, trusted: str) -> None:
        self.networks: tuple[Network, ...] = tuple(
            ip_network(entry.strip(), strict=False) for entry in trusted.split(",") if entry.strip()
        )
        self._is_trusted = lru_cache(maxsize=4096)(self._matches_network)

    def client_address(self, scope: dict[str, Any]) -> str | None:
        """Return the nearest address that is not a trusted proxy.

        None if the server does not know its peer.
        """
        peer = scope.get("client")
        address: str | None = peer[0] if peer else None
        if not self.networks or not address or not self._is_trusted(address):
            return address or None
        hops = [value for name, value in scope["headers"] if name == b"x-forwarded-for"]
        # Each proxy appends its peer's address, so the list is read from the end.
        for hop in reversed(b",".join(hops).decode("latin-1").split(",")):
            parsed = _parse(hop)
            if parsed is None:
                break
            address = str(parsed)
            if not self._is_trusted(address):
                break
        return address

    def apply_forwarded_headers(self, scope: dict[str, Any]) -> None:
        """Set the scope's `scheme` and `root_path` from a trusted proxy's headers.

        A TLS proxy sets `X-Forwarded-Proto`; a proxy that strips a path prefix sets `X-Forwarded-Prefix`. The
        prefix is ignored if the path still begins with it: it would be stripped twice, and the request would
        be routed differently from the path seen by the proxy's rules, the limits, the log and the trace.
        """
        if not self.trusts(scope):
            return
        for name, value in scope["headers"]:
            if name == b"x-forwarded-proto" and value in (b"http", b"https"):
                scope["scheme"] = value.decode()
            elif name == b"x-forwarded-prefix" and _PATH_PREFIX.fullmatch(value):
                prefix = value.decode().rstrip("/")
                if not f"{scope['path']}/".startswith(f"{prefix}/"):
                    scope["root_path"] = prefix

    def trusts(self, scope: dict[str, Any]) -> bool:
        """Return whether the request comes from a trusted proxy."""
        peer = scope.get("client")
        return bool(self.networks and peer and self._is_trusted(peer[0]))

    def _matches_network(self, address: str) -> bool:
        parsed = _parse(address)
        return parsed is not None and any(parsed in network for network in self.networks)


def _parse(text: str) -> Address | None:
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ip_address(text)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address
