"""Sends one request with httpx, including retries.

The same rules for both clients.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx

from gateway.client.errors import ConnectionLost, GatewayClientError, error_from_body
from gateway.client.retries import backoff_seconds, retry_after, should_retry

URL_VARIABLE = "LLM_GATEWAY_URL"
API_KEY_VARIABLE = "LLM_GATEWAY_API_KEY"
DEFAULT_URL = "http://127.0.0.1:8000"
DEFAULT_TIMEOUT = httpx.Timeout(200.0, connect=5.0)
# Failures after which the request cannot have been received.
_NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)


@dataclass(frozen=True, slots=True)
class ApiRequest:
    """A request. A `repeatable` one can safely be sent again after a lost response."""

    method: str
    path: str
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    params: Mapping[str, Any] = field(default_factory=dict)
    repeatable: bool = False

    def httpx_options(self) -> dict[str, Any]:
        """Return the arguments of `httpx.Client.build_request`."""
        return {
            "json": self.body,
            "headers": dict(self.headers),
            "params": {name: value for name, value in self.params.items() if value is not None},
        }


def client_options(
    base_url: str | None, api_key: str | None, token: str | None, timeout: float | httpx.Timeout | None
) -> dict[str, Any]:
    """Return the arguments of both httpx clients.

    None values come from the environment.

    Raises:
        ValueError: both `api_key` and `token` are given, or neither and `LLM_GATEWAY_API_KEY` is not set.
    """
    if api_key is None and token is None:
        api_key = os.environ.get(API_KEY_VARIABLE) or None
        if api_key is None:
            raise ValueError(f"No credential. Pass api_key or token, or set {API_KEY_VARIABLE}.")
    elif api_key is not None and token is not None:
        raise ValueError("Pass either api_key or token, not both.")
    base_url = base_url or os.environ.get(URL_VARIABLE) or DEFAULT_URL
    return {
        "base_url": base_url.rstrip("/"),
        "headers": {"authorization": f"Bearer {api_key or token}", "user-agent": "llm-gateway-client"},
        "timeout": DEFAULT_TIMEOUT if timeout is None else timeout,
        "follow_redirects": False,
    }


def error_from_response(response: httpx.Response) -> GatewayClientError:
    """Build the exception of a response whose body was read."""
    try:
        body = response.json()
    except ValueError:
        body = None
    return error_from_body(response.status_code, body, retry_after(response.headers))


def retry_delay(
    call: ApiRequest,
    attempt: int,
    max_retries: int,
    response: httpx.Response | None,
    failure: Exception | None,
) -> float | None:
    """Return the seconds until the next attempt, or None if there is none."""
    if attempt >= max_retries:
        return None
    if response is not None:
        return (
            backoff_seconds(attempt, response.headers)
            if should_retry(response.status_code, response.headers)
            else None
        )
    if isinstance(failure, _NOT_SENT) or call.repeatable:
        return backoff_seconds(attempt)
    return None


class SyncTransport:
    """Blocking requests."""

    def __init__(self, http: httpx.Client, max_retries: int) -> None:
        self.http = http
        self._max_retries = max_retries

    def request(self, call: ApiRequest) -> httpx.Response:
        """Return the 2xx response; raises GatewayClientError otherwise."""
        return self._send(call, stream=False)

    def open(self, call: ApiRequest) -> httpx.Response:
        """Return the response with its body unread; the caller closes it."""
        return self._send(call, stream=True)

    def _send(self, call: ApiRequest, *, stream: bool) -> httpx.Response:
        attempt = 0
        while True:
            response: httpx.Response | None = None
            failure: Exception | None = None
            try:
                request = self.http.build_request(call.method, call.path, **call.httpx_options())
                response = self.http.send(request, stream=stream)
                if response.is_success:
                    return response
                response.read()
            except httpx.TransportError as error:
                failure, response = error, None
            wait = retry_delay(call, attempt, self._max_retries, response, failure)
            if wait is None:
                raise _final_error(response, failure)
            time.sleep(wait)
            attempt += 1


class AsyncTransport:
    """Asynchronous requests."""

    def __init__(self, http: httpx.AsyncClient, max_retries: int) -> None:
        self.http = http
        self._max_retries = max_retries

    async def request(self, call: ApiRequest) -> httpx.Response:
        """See `SyncTransport.request`."""
        return await self._send(call, stream=False)

    async def open(self, call: ApiRequest) -> httpx.Response:
        """See `SyncTransport.open`."""
        return await self._send(call, stream=True)

    async def _send(self, call: ApiRequest, *, stream: bool) -> httpx.Response:
        attempt = 0
        while True:
            response: httpx.Response | None = None
            failure: Exception | None = None
            try:
                request = self.http.build_request(call.method, call.path, **call.httpx_options())
                response = await self.http.send(request, stream=stream)
                if response.is_success:
                    return response
                await response.aread()
            except httpx.TransportError as error:
                failure, response = error, None
            wait = retry_delay(call, attempt, self._max_retries, response, failure)
            if wait is None:
                raise _final_error(response, failure)
            await asyncio.sleep(wait)
            attempt += 1


def _final_error(response: httpx.Response | None, failure: Exception | None) -> GatewayClientError:
    if response is not None:
        return error_from_response(response)
    error = ConnectionLost("The gateway cannot be reached or closed the connection before it answered.")
    error.__cause__ = failure
    return error
