"""HTTP client that connects to checked IP addresses, so that DNS cannot change after the check."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from ipaddress import IPv6Address

import httpx

from gateway.tools.base import ToolError
from gateway.tools.fetch.address_policy import Address, AddressPolicy
from gateway.tools.fetch.decompression import read_body
from gateway.tools.fetch.dns import Resolver, resolve_allowed
from gateway.tools.fetch.url import PageURL, parse_url

MAX_REDIRECTS = 5
_MAX_ADDRESSES = 3  # per host
_CONNECT_SECONDS = 5.0
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_REQUEST_HEADERS = {
    "user-agent": "Mozilla/5.0 (compatible; LLM-Gateway-fetch)",
    "accept": "text/html,application/xhtml+xml,text/plain;q=0.9,application/json;q=0.9,*/*;q=0.5",
    "accept-encoding": "gzip, deflate",
}


@dataclass(frozen=True, slots=True)
class FetchedPage:
    """The response after all redirects.

    `body` is decompressed, and `truncated` if there was more.
    """

    url: str
    status: int
    content_type: str
    body: bytes
    truncated: bool


class PinnedClient:
    """Fetches pages without a connection pool, cookies, or proxies, which would resolve names unchecked.

    A default `ssl_context` is created at the first request.
    """

    def __init__(
        self,
        policy: AddressPolicy,
        ports: frozenset[int],
        resolve: Resolver,
        *,
        max_bytes: int,
        ssl_context: ssl.SSLContext | None = None,
    ) -> None:
        self._policy = policy
        self._ports = ports
        self._resolve = resolve
        self._max_bytes = max_bytes
        self._ssl_context = ssl_context

    async def get(self, url: str) -> FetchedPage:
        """Fetch a page, following up to `MAX_REDIRECTS`, each checked like the first URL.

        Raises:
            ToolError: the page cannot be fetched; the message says why.
        """
        page_url = parse_url(url)
        for _ in range(MAX_REDIRECTS + 1):
            async with self._response(page_url) as response:
                location = response.headers.get("location")
                if response.status_code not in _REDIRECTS or location is None:
                    body, truncated = await read_body(response, self._max_bytes)
                    content_type = response.headers.get("content-type", "")
                    return FetchedPage(page_url.url, response.status_code, content_type, body, truncated)
            page_url = page_url.join(location)
        raise ToolError(
            f"The page redirects more than {MAX_REDIRECTS} times; use its final URL.", kind="redirects"
        )

    @asynccontextmanager
    async def _response(self, page_url: PageURL) -> AsyncIterator[httpx.Response]:
        if page_url.port not in self._ports:
            allowed = ", ".join(map(str, sorted(self._ports)))
            raise ToolError(f"Pages are fetched from these ports only: {allowed}.", kind="not_public")
        addresses = await resolve_allowed(page_url, self._resolve, self._policy)
        # One transport per hop: a pool would share connections by address, and so send a request over a
        # connection whose certificate is for another name.
        transport = httpx.AsyncHTTPTransport(
            verify=await self._get_ssl_context(), trust_env=False, http2=False
        )
        async with transport:
            try:
                response = await _first_response(transport, page_url, addresses[:_MAX_ADDRESSES])
                try:
                    yield response
                finally:
                    await response.aclose()
            except httpx.TransportError as error:
                raise ToolError(_describe_error(error), kind="unreachable") from None

    async def _get_ssl_context(self) -> ssl.SSLContext:
        if self._ssl_context is None:
            self._ssl_context = await asyncio.to_thread(httpx.create_ssl_context)
        return self._ssl_context


async def _first_response(
    transport: httpx.AsyncHTTPTransport, page_url: PageURL, addresses: tuple[Address, ...]
) -> httpx.Response:
    """Return the response of the first address that accepts a connection."""
    for address in addresses[:-1]:
        with suppress(httpx.ConnectError, httpx.ConnectTimeout):
            return await _send(transport, page_url, address)
    return await _send(transport, page_url, addresses[-1])


async def _send(transport: httpx.AsyncHTTPTransport, page_url: PageURL, address: Address) -> httpx.Response:
    request = _request(page_url, address)
    response = await transport.handle_async_request(request)
    response.request = request
    return response


def _request(page_url: PageURL, address: Address) -> httpx.Request:
    """Build a request to the address.

    Host and the certificate's name are those of the page.
    """
    host = f"[{address}]" if isinstance(address, IPv6Address) else str(address)
    return httpx.Request(
        "GET",
        f"{page_url.scheme}://{host}:{page_url.port}{page_url.target}",
        headers={"host": page_url.authority, **_REQUEST_HEADERS},
        extensions={"sni_hostname": page_url.host, "timeout": {"connect": _CONNECT_SECONDS}},
    )


def _describe_error(error: httpx.TransportError) -> str:
    if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout):
        if "CERTIFICATE" in str(error).upper():
            return "The site's certificate is not valid, so the page was not read. Try another page."
        return "The site cannot be reached; try another page."
    return "The connection to the site was lost before the page was complete; try again, or another page."
