"""OpenAI and every server that speaks its `/chat/completions`, straight on the wire (decision 0002)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

import httpx

from gateway.core.exceptions import GatewayError
from gateway.domain.catalog import ProviderConfig, Timeouts
from gateway.domain.chat import ChatRequest
from gateway.domain.events import ProviderEvent
from gateway.providers.chat import wire
from gateway.providers.chat.base import ChatProvider, ProviderHealth
from gateway.providers.chat.openai_answer import AnswerReader
from gateway.providers.chat.openai_body import encode

DEFAULT_BASE_URL = "https://api.openai.com/v1"
# How long to wait for the close after the end marker, so that the connection can serve the next call.
_DRAIN_SECONDS = 0.25


class OpenAIProvider(ChatProvider):
    """`base_url` includes `/v1`; `options.headers` are sent with every call.

    URL and headers are built once; a call costs one request object and one body.
    """

    type = "openai"

    def __init__(
        self, name: str, config: ProviderConfig, timeouts: Timeouts, http: httpx.AsyncClient
    ) -> None:
        super().__init__(name, config, timeouts, http)
        base = wire.base_url_of(config.base_url, DEFAULT_BASE_URL)
        self._url = httpx.URL(f"{base}/chat/completions")
        self._models_url = f"{base}/models"
        # api.openai.com has renamed the field, and its reasoning models refuse the old name.
        official = self._url.host == "api.openai.com"
        self._max_tokens_field = "max_completion_tokens" if official else "max_tokens"
        headers = {"content-type": "application/json", "user-agent": "llm-gateway"}
        if config.api_key:
            headers["authorization"] = f"Bearer {config.api_key}"
        headers.update({str(k): str(v) for k, v in dict(config.options.get("headers") or {}).items()})
        for header, value in headers.items():
            wire.check_header(header, value)
        self._headers = httpx.Headers(
            {**headers, "host": self._url.netloc.decode(), "accept-encoding": "identity"}, encoding="utf-8"
        )
        self._extensions = {"timeout": wire.timeouts_of(timeouts)}

    @property
    def configured(self) -> bool:
        return bool(self.config.api_key or self.config.base_url)

    async def stream(self, request: ChatRequest) -> AsyncGenerator[ProviderEvent, None]:
        body = encode(request, self._max_tokens_field)
        call = httpx.Request(
            "POST", self._url, headers=self._headers, content=body, extensions=dict(self._extensions)
        )
        response = await wire.send(self.http, call)
        try:
            if not request.incremental:
                wire.expect_type(response, "json")
                for event in AnswerReader().whole(await wire.whole(response)):
                    yield event
                return
            wire.expect_type(response, "text/event-stream")
            async with aclosing(_relay(response)) as events:
                async for event in events:
                    yield event
        finally:
            await response.aclose()

    async def check(self) -> ProviderHealth:
        if not self.configured:
            return ProviderHealth(False, "no API key is configured")
        return await wire.check_url(self.http, self._models_url, self._headers)


async def _relay(response: httpx.Response) -> AsyncGenerator[ProviderEvent, None]:
    reader = AnswerReader()
    chunks = wire.chunks(response)
    try:
        async for data in chunks:
            for event in reader.feed(data):
                yield event
            if reader.broken is not None:
                raise reader.broken
            if reader.done:
                await _drain(chunks)
                break
    except GatewayError:
        if not reader.complete:
            raise
    finally:
        await chunks.aclose()
    yield reader.end()


async def _drain(chunks: AsyncGenerator[bytes, None]) -> None:
    """Read what follows the end marker; a server that does not close in time loses its connection."""
    try:
        async with asyncio.timeout(_DRAIN_SECONDS):
            async for _ in chunks:
                pass
    except (TimeoutError, GatewayError):
        return  # the answer is complete already
