"""The guard as a transport of httpx2, the fork of httpx that newer SDKs are built on."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx2

from gateway.providers.chat.guard import Exchange, GuardedExchange


class GuardedTransport(httpx2.AsyncBaseTransport):
    def __init__(self, guard: GuardedExchange) -> None:
        self._guard = guard

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        exchange = await self._guard.send(
            request.method, str(request.url), request.headers.raw, await request.aread()
        )
        return httpx2.Response(exchange.status, headers=exchange.headers, stream=_Body(exchange))


class _Body(httpx2.AsyncByteStream):
    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._exchange.body

    async def aclose(self) -> None:
        await self._exchange.aclose()
