"""GET from addresses that were checked: the connection goes to the address, never again to the name."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from ipaddress import IPv6Address

import httpx

from gateway.tools.addresses import Address, AddressRules
from gateway.tools.base import ToolError
from gateway.tools.resolving import Resolver, allowed_addresses
from gateway.tools.unpacking import read_body
from gateway.tools.web_address import WebAddress, parse

MAX_REDIRECTS = 5
_MAX_TRIES = 3  # addresses of one host
_CONNECT_SECONDS = 5.0
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_HEADERS = {
    "user-agent": "Mozilla/5.0 (compatible; LLM-Gateway-fetch)",
    "accept": "text/html,application/xhtml+xml,text/plain;q=0.9,application/json;q=0.9,*/*;q=0.5",
    "accept-encoding": "gzip, deflate",
}


@dataclass(frozen=True, slots=True)
class Page:
    """What the last address of a chain answered; `body` is unpacked, `cut` if there was more of it."""

    url: str
    status: int
    content_type: str
    body: bytes
    cut: bool


class PinnedClient:
    """No pool, no cookies, no proxy of the environment: a proxy would look names up itself, unchecked.

    `trust` is built at the first request if it is not given.
    """

    def __init__(
        self,
        rules: AddressRules,
        ports: frozenset[int],
        resolve: Resolver,
        *,
        max_bytes: int,
        trust: ssl.SSLContext | None = None,
    ) -> None:
        self._rules = rules
        self._ports = ports
        self._resolve = resolve
        self._max_bytes = max_bytes
        self._trust = trust

    async def get(self, url: str) -> Page:
        """Follow up to `MAX_REDIRECTS`, each checked like the first; ToolError says what went wrong."""
        where = parse(url)
        for _ in range(MAX_REDIRECTS + 1):
            async with self._response(where) as response:
                location = response.headers.get("location")
                if response.status_code not in _REDIRECTS or location is None:
                    body, cut = await read_body(response, self._max_bytes)
                    kind = response.headers.get("content-type", "")
                    return Page(where.url, response.status_code, kind, body, cut)
            where = where.join(location)
        raise ToolError(
            f"The page redirects more than {MAX_REDIRECTS} times; give its final address.", kind="redirects"
        )

    @asynccontextmanager
    async def _response(self, where: WebAddress) -> AsyncIterator[httpx.Response]:
        if where.port not in self._ports:
            allowed = ", ".join(map(str, sorted(self._ports)))
            raise ToolError(f"Pages are fetched from these ports only: {allowed}.", kind="not_public")
        addresses = await allowed_addresses(where, self._resolve, self._rules)
        # A transport of its own for every hop: a pool would share connections by address, and so hand one
        # name's request to another name's certificate.
        transport = httpx.AsyncHTTPTransport(verify=await self._trusted(), trust_env=False, http2=False)
        async with transport:
            try:
                response = await _first_answer(transport, where, addresses[:_MAX_TRIES])
                try:
                    yield response
                finally:
                    await response.aclose()
            except httpx.TransportError as error:
                raise ToolError(_trouble(error), kind="unreachable") from None

    async def _trusted(self) -> ssl.SSLContext:
        if self._trust is None:
            self._trust = await asyncio.to_thread(httpx.create_ssl_context)
        return self._trust


async def _first_answer(
    transport: httpx.AsyncHTTPTransport, where: WebAddress, addresses: tuple[Address, ...]
) -> httpx.Response:
    """The answer of the first address that can be connected to."""
    for address in addresses[:-1]:
        with suppress(httpx.ConnectError, httpx.ConnectTimeout):
            return await _ask(transport, where, address)
    return await _ask(transport, where, addresses[-1])


async def _ask(transport: httpx.AsyncHTTPTransport, where: WebAddress, address: Address) -> httpx.Response:
    request = _request(where, address)
    response = await transport.handle_async_request(request)
    response.request = request
    return response


def _request(where: WebAddress, address: Address) -> httpx.Request:
    """A request to the address; Host and the certificate's name stay those of the page."""
    at = f"[{address}]" if isinstance(address, IPv6Address) else str(address)
    return httpx.Request(
        "GET",
        f"{where.scheme}://{at}:{where.port}{where.target}",
        headers={"host": where.authority, **_HEADERS},
        extensions={"sni_hostname": where.host, "timeout": {"connect": _CONNECT_SECONDS}},
    )


def _trouble(error: httpx.TransportError) -> str:
    if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout):
        if "CERTIFICATE" in str(error).upper():
            return "The site's certificate is not valid for it, so the page was not read."
        return "The site cannot be reached; try another page."
    return "The connection to the site broke before the page was complete; try again or another page."
