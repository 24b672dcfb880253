"""The HTTP client that all providers share: httpx's interface over aiohttp's connections (decision 0002)."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from functools import cache, partial
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any
from urllib.request import getproxies

import aiohttp
import httpx
from httpx_aiohttp import AiohttpTransport

from gateway.core.tracing import outgoing_traceparent
from gateway.providers.http.no_proxy import NoProxy
from gateway.providers.registry import ProviderMisconfigured

# Below the five seconds after which common servers close an idle connection, so that none is closed on us.
_KEEPALIVE_SECONDS = 4.0
_DEFAULT_PORTS = {"http": 80, "https": 443}
# aiohttp gives up beyond 8 KiB, and some servers send longer policies than that.
_MAX_HEADER_BYTES = 64 * 1024
_UNUSABLE_PROXY = (
    "A proxy that the environment names cannot be used: HTTP_PROXY, HTTPS_PROXY and ALL_PROXY take"
    " http://host:port or https://host:port, and NO_PROXY makes exceptions."
)


def upstream_client(trust_env: bool = True, verify: ssl.SSLContext | None = None) -> httpx.AsyncClient:
    """A client without limit of connections, redirects or cookies; use it within one event loop and close it.

    Honours the `connect`, `read` and `pool` timeouts of a request; `connect` is for each address of a host,
    `pool` for the whole way to a connection. A request without them waits for ever.

    Args:
        trust_env: go through the proxies that the environment names; it is read once, here.
        verify: what to trust instead of the usual authorities.

    Raises:
        ProviderMisconfigured: the environment names a proxy that cannot be used.
    """
    proxies = getproxies() if trust_env else {}
    try:
        no_proxy = NoProxy(proxies.get("no", ""))
    except ValueError as error:
        raise ProviderMisconfigured(str(error)) from error
    try:
        return _UpstreamClient(proxies, no_proxy, verify=verify or _default_ssl_context())
    except (ValueError, httpx.InvalidURL) as error:
        raise ProviderMisconfigured(_UNUSABLE_PROXY) from error


class _UpstreamClient(httpx.AsyncClient):
    """httpx reads the environment and chooses the transport; aiohttp would do so anew for every request."""

    def __init__(self, proxies: Mapping[str, str], no_proxy: NoProxy, *, verify: ssl.SSLContext) -> None:
        self._ssl_context = verify
        self._proxies = proxies
        self._no_proxy = no_proxy
        super().__init__(
            verify=verify,
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=())),
            event_hooks={"request": [_strip_url_credentials]},
        )

    async def send(self, request: httpx.Request, **options: Any) -> httpx.Response:
        """Straight to the transport: httpx's flows of auth, redirects and cookies cost a third of a call.

        Credentials in an address, and whatever asks for one of those flows, take httpx's own way.
        """
        if (traceparent := outgoing_traceparent()) is not None:
            request.headers["traceparent"] = traceparent
        stream = options.pop("stream", False)
        if options or not stream or request.url.userinfo:
            return await super().send(request, stream=stream, **options)
        # Told, lest httpx try them out on every header of every call.
        request.headers.encoding = "ascii"
        response = await self._transport_for_url(request.url).handle_async_request(request)
        response.headers.encoding = "iso-8859-1"
        response.request = request
        return response

    def _get_proxy_map(self, *args: Any, **kwargs: Any) -> dict[str, httpx.Proxy | None]:
        """The proxies alone; httpx refuses half of what NO_PROXY may hold and ignores the other half."""
        proxies: dict[str, httpx.Proxy | None] = {}
        for scheme in ("http", "https", "all"):
            if address := self._proxies.get(scheme):
                proxies[f"{scheme}://"] = httpx.Proxy(address if "://" in address else f"http://{address}")
        return proxies

    def _transport_for_url(self, url: httpx.URL) -> httpx.AsyncBaseTransport:
        if self._proxies and self._no_proxy.matches(url.host, url.port or _DEFAULT_PORTS.get(url.scheme)):
            return self._transport
        return super()._transport_for_url(url)

    def _init_transport(self, *args: Any, **kwargs: Any) -> httpx.AsyncBaseTransport:
        return AiohttpTransport(verify=self._ssl_context, client=partial(_make_session, self._ssl_context))

    def _init_proxy_transport(
        self, proxy: httpx.Proxy, *args: Any, **kwargs: Any
    ) -> httpx.AsyncBaseTransport:
        if proxy.url.scheme not in ("http", "https"):
            raise ValueError("aiohttp does not speak to such a proxy")
        return AiohttpTransport(
            verify=self._ssl_context, proxy=proxy, client=partial(_make_session, self._ssl_context)
        )


def _make_session(ssl_context: ssl.SSLContext) -> aiohttp.ClientSession:
    """Called at the first request, within the event loop; timeouts come with each request."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=_KEEPALIVE_SECONDS, ssl=ssl_context),
        cookie_jar=aiohttp.DummyCookieJar(),
        headers={"accept-encoding": "identity", "user-agent": "llm-gateway"},
        max_line_size=_MAX_HEADER_BYTES,
        max_field_size=_MAX_HEADER_BYTES,
    )


async def _strip_url_credentials(request: httpx.Request) -> None:
    """httpx has made a header of them by now, and aiohttp refuses to be told twice."""
    if request.url.userinfo:
        request.url = request.url.copy_with(username=None, password=None)


@cache
def _default_ssl_context() -> ssl.SSLContext:
    return httpx.create_ssl_context()
