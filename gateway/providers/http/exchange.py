"""One HTTP exchange with a vendor.

Limits the response and maps failures to gateway errors.
"""

from __future__ import annotations

import asyncio
import codecs
import errno
import math
import re
import time
from collections.abc import AsyncGenerator, Mapping
from email.utils import parsedate_to_datetime

import aiohttp
import httpx
import structlog

from gateway.core.exceptions import (
    GatewayError,
    Unavailable,
    UpstreamBroken,
    UpstreamError,
    UpstreamReply,
    UpstreamTimeout,
    UpstreamUnavailable,
)
from gateway.domain.config.providers import Timeouts
from gateway.providers.base import ProviderHealth, activity_callback
from gateway.providers.errors import classifier

log = structlog.get_logger(__name__)

MAX_LINE_BYTES = 4 * 1024 * 1024
MAX_STREAM_BYTES = 256 * 1024 * 1024
MAX_JSON_BYTES = 32 * 1024 * 1024
_MAX_ERROR_BODY_BYTES = 64 * 1024
_ERROR_BODY_SECONDS = 5.0
_PROBE_SECONDS = 2.0

_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_FORBIDDEN_IN_HEADER = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
# httpx-aiohttp does not translate all errors of aiohttp, such as those of a malformed response.
_TRANSPORT_ERRORS = (httpx.HTTPError, httpx.StreamError, aiohttp.ClientError)

_LOCAL_RESOURCE_ERRORS = frozenset(
    {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EADDRNOTAVAIL}
)


def timeout_extension(timeouts: Timeouts) -> dict[str, float]:
    """Return httpx's `timeout` extension in seconds.

    First-token, idle and total timeouts are enforced by the caller.
    """
    return {
        "connect": timeouts.connect,
        "read": timeouts.live,
        "write": timeouts.live,
        "pool": timeouts.connect,
    }


async def send(http: httpx.AsyncClient, request: httpx.Request) -> httpx.Response:
    """Send a request and return the 2xx response with its body unread.

    The caller closes it.

    Raises:
        UpstreamError, UpstreamRejected, ContextLengthExceeded, Unavailable: see `ChatProvider`.
    """
    try:
        response = await http.send(request, stream=True)
    except _TRANSPORT_ERRORS as error:
        raise _map_transport_error(error, UpstreamUnavailable) from error
    if response.is_success:
        return response
    try:
        body = await _read_error_body(response)
    finally:
        await response.aclose()
    raise error_from_response(response.status_code, response.headers, body)


async def iter_body(response: httpx.Response, limit: int = MAX_STREAM_BYTES) -> AsyncGenerator[bytes, None]:
    """Yield the body as it arrives, decompressed.

    Raises:
        UpstreamTimeout: nothing arrived for too long.
        UpstreamBroken: the connection was lost, or the body exceeds `limit` bytes.
    """
    compressed = response.headers.get("content-encoding", "identity") != "identity"
    source = response.aiter_bytes() if compressed else response.aiter_raw()
    received = 0
    on_activity = activity_callback.get()
    try:
        async for chunk in source:
            if on_activity is not None:
                on_activity()
            received += len(chunk)
            if received > limit:
                raise UpstreamBroken
            yield chunk
    except _TRANSPORT_ERRORS as error:
        raise _map_transport_error(error, UpstreamBroken) from error


async def read_body(response: httpx.Response, limit: int = MAX_JSON_BYTES) -> bytes:
    """Return the whole body, at most `limit` bytes, without a byte order mark.

    It raises the errors of `iter_body`.
    """
    return b"".join([chunk async for chunk in iter_body(response, limit)]).removeprefix(codecs.BOM_UTF8)


async def fetch_json(http: httpx.AsyncClient, request: httpx.Request, limit: int) -> bytes:
    """Send a request and return the JSON body of its 2xx response, at most `limit` bytes.

    Raises:
        GatewayError: those of `send` and `iter_body`; UpstreamBroken for another content type.
    """
    response = await send(http, request)
    try:
        require_content_type(response, "json")
        return await read_body(response, limit)
    finally:
        await response.aclose()


def require_content_type(response: httpx.Response, expected: str) -> None:
    """Raise UpstreamBroken if the response has a content type other than `expected`.

    A response without content type is accepted.
    """
    content_type = response.headers.get("content-type", "")
    if content_type and expected not in content_type.lower():
        raise UpstreamBroken


def error_from_response(status: int, headers: Mapping[str, str], body: bytes) -> GatewayError:
    """Return the gateway error for a provider's HTTP error, with its Retry-After."""
    return classifier.classify_response(status, body, parse_retry_after(headers))


def parse_retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds of `retry-after-ms` or `retry-after` (seconds or an HTTP date), at most an hour."""
    seconds = _parse_number(headers.get("retry-after-ms"), 0.001)
    if seconds is None:
        value = headers.get("retry-after")
        seconds = _parse_number(value, 1.0)
        if seconds is None and value:
            try:
                seconds = parsedate_to_datetime(value).timestamp() - time.time()
            except (ValueError, OverflowError):
                return None
    if seconds is None or not math.isfinite(seconds) or seconds < 0:
        return None
    return min(seconds, classifier.MAX_RETRY_AFTER)


def normalize_base_url(configured: str | None, default: str) -> str:
    """Return the configured base URL, or the default, without a trailing slash.

    Raises:
        ValueError: it is not an http(s) URL.
    """
    text = (configured or default).rstrip("/")
    try:
        url = httpx.URL(text)
    except httpx.InvalidURL as error:
        raise ValueError("base_url is not a valid URL") from error
    if url.scheme not in ("http", "https") or not url.host:
        raise ValueError("base_url must begin with http:// or https:// and contain a host")
    try:
        url.host.encode("idna")  # as the resolver will
    except UnicodeError as error:
        raise ValueError("base_url contains an invalid host name") from error
    return text


def validate_header(name: str, value: str) -> None:
    """Check that a configured header can be sent.

    Raises:
        ValueError: it contains a line break or another character that HTTP forbids there.
    """
    if not _HEADER_NAME.fullmatch(name) or _FORBIDDEN_IN_HEADER.search(value):
        raise ValueError(f"the header {name!r} contains a character that HTTP forbids in headers")


async def probe_url(http: httpx.AsyncClient, url: str, headers: Mapping[str, str]) -> ProviderHealth:
    """Check whether `url` answers a GET with a 2xx within 2 s; never raises."""
    timeouts = dict.fromkeys(("connect", "read", "write", "pool"), _PROBE_SECONDS)
    request = httpx.Request("GET", url, headers=headers, extensions={"timeout": timeouts})
    try:
        async with asyncio.timeout(_PROBE_SECONDS):
            response = await http.send(request, stream=True)
            await response.aclose()
    except TimeoutError:
        return ProviderHealth(False, "no answer within 2 s")
    except _TRANSPORT_ERRORS as error:
        if isinstance(_map_transport_error(error, UpstreamUnavailable), UpstreamTimeout):
            return ProviderHealth(False, "no answer within 2 s")
        return ProviderHealth(False, f"cannot be reached ({type(_root_cause(error)).__name__})")
    status = response.status_code
    if response.is_success:
        return ProviderHealth(True, "answers")
    if status in (401, 403):
        return ProviderHealth(False, f"refuses the credentials (HTTP {status})")
    return ProviderHealth(False, f"answers with HTTP {status}", responded=True)


def _map_transport_error(error: Exception, default: type[UpstreamError]) -> UpstreamError | Unavailable:
    """Map an error of httpx or aiohttp to a gateway error.

    A timeout becomes UpstreamTimeout, a malformed response UpstreamBroken, a refused connection a permanent
    UpstreamUnavailable, and a lack of sockets on this machine Unavailable, for which no upstream is to blame.
    Everything else becomes `default`.
    """
    cause = _root_cause(error)
    mapped = _classify_transport_error(error, cause, default)
    mapped.upstream_reply = UpstreamReply(reason=f"{type(cause).__name__}: {cause}".rstrip(": "))
    return mapped


def _classify_transport_error(
    error: Exception, cause: BaseException, default: type[UpstreamError]
) -> UpstreamError | Unavailable:
    if isinstance(error, aiohttp.ClientResponseError):
        return UpstreamBroken()
    if isinstance(cause, OSError) and cause.errno in _LOCAL_RESOURCE_ERRORS:
        log.error("provider.sockets_exhausted", errno=cause.errno)
        return Unavailable("The gateway has no free connection to call a model. Retry later.", retry_after=1)
    if isinstance(cause, httpx.TimeoutException | aiohttp.ServerTimeoutError):
        return UpstreamTimeout()
    if isinstance(cause, httpx.ConnectError | aiohttp.ClientConnectorError):
        return UpstreamUnavailable(transient=False)
    return default()


def _root_cause(error: Exception) -> BaseException:
    """Return aiohttp's error.

    This is needed because httpx-aiohttp reports every lost or refused connection as a timeout.
    """
    return error.__cause__ if isinstance(error.__cause__, aiohttp.ClientError) else error


async def _read_error_body(response: httpx.Response) -> bytes:
    """Return the beginning of an error body, as much as can be read in time."""
    parts: list[bytes] = []
    try:
        async with asyncio.timeout(_ERROR_BODY_SECONDS):
            async for chunk in iter_body(response, _MAX_ERROR_BODY_BYTES):
                parts.append(chunk)  # noqa: PERF401 - chunks before a failure are used
    except (TimeoutError, UpstreamTimeout, UpstreamBroken):
        return b"".join(parts)
    return b"".join(parts)


def _parse_number(text: str | None, factor: float) -> float | None:
    try:
        return float(text) * factor if text else None
    except ValueError:
        return None
