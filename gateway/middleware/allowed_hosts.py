"""Checks the Host header, to protect against DNS rebinding."""

from __future__ import annotations

import re
from functools import lru_cache
from ipaddress import ip_address
from typing import Any

from gateway.core.exceptions import InvalidRequest
from gateway.middleware.client_ip import ClientAddresses
from gateway.middleware.request_record import is_probe

_HOST_NAME = re.compile(r"(\*\.)?[a-z0-9_-]+(\.[a-z0-9_-]+)*\.?")
# Reserved suffixes: nobody can register them, so no foreign web page can use them.
_LOCAL_SUFFIXES = (".localhost", ".local", ".internal", ".lan", ".home.arpa", ".test")


class AllowedHosts:
    """The allowed Host names, comma-separated (`*.example.org`); `*` allows all.

    If the list is empty, requests that reach a loopback address directly must use a local name, and all other
    requests may use any name, because names on a network are known only to the operator. Numeric addresses,
    local names and health checks are always allowed.

    Raises:
        ValueError: an entry is not a host name.
    """

    def __init__(self, names: str, proxies: ClientAddresses) -> None:
        entries = [entry.strip().lower() for entry in names.split(",") if entry.strip()]
        self._allow_any = "*" in entries
        for entry in entries:
            if entry != "*" and not _HOST_NAME.fullmatch(entry):
                raise ValueError(f"ALLOWED_HOSTS: {entry} is not a host name; leave out ports and schemes")
        self._names = frozenset(entry.rstrip(".") for entry in entries if not entry.startswith("*"))
        self._suffixes = tuple(entry[1:] for entry in entries if entry.startswith("*."))
        self._configured = bool(entries)
        self._proxies = proxies
        self._is_allowed = lru_cache(maxsize=1024)(self._matches)

    def check(self, scope: dict[str, Any]) -> None:
        """Raise InvalidRequest if the Host header is not allowed."""
        if (
            self._allow_any
            or not (self._configured or self._is_direct_loopback(scope))
            or is_probe(scope["path"])
        ):
            return
        for name, value in scope["headers"]:
            if name == b"host" and not self._is_allowed(value):
                raise InvalidRequest(
                    "The Host header names a host that this gateway does not serve. Use the gateway's "
                    "own address, or add the name to ALLOWED_HOSTS."
                )

    def _is_direct_loopback(self, scope: dict[str, Any]) -> bool:
        server = scope.get("server")
        if not server or not _is_loopback(server[0]):
            return False
        return not self._proxies.trusts(scope)

    def _matches(self, value: bytes) -> bool:
        host = _without_port(value.decode("latin-1").strip().lower()).rstrip(".")
        if not host or "." not in host or _is_address(host):
            return True
        return host in self._names or host.endswith((*_LOCAL_SUFFIXES, *self._suffixes))


@lru_cache(maxsize=64)
def _is_loopback(address: str) -> bool:
    try:
        return ip_address(address).is_loopback
    except ValueError:
        return False


def _without_port(host: str) -> str:
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.rpartition(":")[0] if host.count(":") == 1 else host


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
