"""Parses NO_PROXY as curl and Go do: hosts that are connected to without a proxy."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fnmatch import fnmatchcase
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

_HOST_PORT = re.compile(r"(.+):([0-9]{1,5})")


@dataclass(frozen=True, slots=True)
class _Entry:
    """One entry: a network, or a name with its subdomains.

    `port` None means every port.
    """

    network: IPv4Network | IPv6Network | None
    name: str
    port: int | None

    def matches(self, host: str, address: IPv4Address | IPv6Address | None, port: int | None) -> bool:
        if self.port is not None and self.port != port:
            return False
        if self.network is not None:
            return address is not None and address in self.network
        if "*" in self.name:
            return fnmatchcase(host, self.name)
        return host == self.name or (address is None and host.endswith(f".{self.name}"))


class NoProxy:
    """The hosts that bypass the environment's proxies."""

    def __init__(self, text: str) -> None:
        """Parse the variable.

        Entries are names, addresses and networks (CIDR), each with an optional port; `*` matches all.

        Raises:
            ValueError: an entry is none of these; the message contains it.
        """
        entries = [entry for entry in re.split(r"[,\s]+", text.strip().lower()) if entry]
        self._match_all = "*" in entries
        self._entries = tuple(_parse_entry(entry) for entry in entries if entry != "*")

    def matches(self, host: str, port: int | None) -> bool:
        """Whether the host bypasses the proxy; names are not resolved."""
        if self._match_all:
            return True
        if not self._entries:
            return False
        host = host.lower().rstrip(".")
        try:
            address: IPv4Address | IPv6Address | None = ip_address(host.strip("[]"))
        except ValueError:
            address = None
        return any(entry.matches(host, address, port) for entry in self._entries)


def _parse_entry(entry: str) -> _Entry:
    network = _parse_network(entry)
    if network is not None:
        return _Entry(network, "", None)
    if (match := _HOST_PORT.fullmatch(entry)) is not None and (":" not in match[1] or match[1].endswith("]")):
        network = _parse_network(match[1])
        return _Entry(network, "" if network else _parse_name(match[1], entry), int(match[2]))
    return _Entry(None, _parse_name(entry, entry), None)


def _parse_network(text: str) -> IPv4Network | IPv6Network | None:
    """Parse an address or a network, whose host bits may be set.

    Returns None if it is neither.
    """
    host, slash, bits = text.partition("/")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    try:
        return ip_network(f"{host}{slash}{bits}", strict=False)
    except ValueError:
        return None


def _parse_name(text: str, entry: str) -> str:
    if any(mark in text for mark in "/:[]@"):
        raise ValueError(
            f"NO_PROXY has an invalid entry: {entry!r}. "
            "Write names (.example.com), addresses or networks (10.0.0.0/8), separated by commas."
        )
    name = text.rstrip(".")
    if name.startswith("*."):
        name = name[2:]
    return name.lstrip(".") if "*" not in name else name
