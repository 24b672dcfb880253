"""The stream guard as an httpx transport."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx

from gateway.providers.langchain.stream_guard import GuardedResponse, StreamGuard


class GuardedTransport(httpx.AsyncBaseTransport):
    """Lets an SDK's httpx client send through a `StreamGuard`."""

    def __init__(self, guard: StreamGuard) -> None:
        self._guard = guard

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        response = await self._guard.send(
            request.method, str(request.url), request.headers.raw, await request.aread()
        )
        return httpx.Response(response.status, headers=response.headers, stream=_Body(response))


class _Body(httpx.AsyncByteStream):
    def __init__(self, response: GuardedResponse) -> None:
        self._response = response

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._response.body

    async def aclose(self) -> None:
        await self._response.aclose()
