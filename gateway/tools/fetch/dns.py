"""Resolves host names in dedicated threads, so that a slow name server does not delay other work."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from ipaddress import ip_address

from gateway.tools.base import ToolError
from gateway.tools.fetch.address_policy import Address, AddressPolicy, is_metadata_name
from gateway.tools.fetch.url import PageURL

# (host, port) -> addresses as text; raises OSError if there are none.
Resolver = Callable[[str, int], Awaitable[Sequence[str]]]

# One message for both cases, so that it does not reveal which internal names exist.
_NOT_PUBLIC = (
    "This host does not exist or is not on the public internet; only public pages can be fetched. "
    "Give another address."
)


class SystemResolver:
    """Resolves with the operating system.

    An abandoned lookup continues in its thread until it ends.
    """

    _THREADS = 4

    def __init__(self) -> None:
        self._executor = ThreadPoolExecutor(self._THREADS, thread_name_prefix="fetch-dns")

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        found = await asyncio.get_running_loop().run_in_executor(self._executor, _getaddrinfo, host, port)
        return list(dict.fromkeys(found))

    def close(self) -> None:
        """Stop the threads, without waiting for lookups."""
        self._executor.shutdown(wait=False, cancel_futures=True)


def _getaddrinfo(host: str, port: int) -> list[str]:
    return [str(entry[4][0]) for entry in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]


async def resolve_allowed(url: PageURL, resolve: Resolver, policy: AddressPolicy) -> tuple[Address, ...]:
    """Return the addresses of the page's host, in the resolver's order.

    A single forbidden address rejects the host, since public pages have no private addresses.

    Raises:
        ToolError: the host does not exist, or one of its addresses is not allowed.
    """
    if is_metadata_name(url.host):
        raise ToolError(_NOT_PUBLIC, kind="not_public")
    if url.address is not None:
        addresses: tuple[Address, ...] = (url.address,)
    else:
        try:
            # Without the interface name that may follow a link-local address.
            addresses = tuple(ip_address(a.partition("%")[0]) for a in await resolve(url.host, url.port))
        except (OSError, ValueError):
            raise ToolError(_NOT_PUBLIC, kind="not_public") from None
    if not addresses or not all(map(policy.allows, addresses)):
        raise ToolError(_NOT_PUBLIC, kind="not_public")
    return addresses
