"""Chat with the small model of `gateway serve`.

It is a llama.cpp server with an OpenAI-compatible API.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace

import httpx

from gateway.domain.config.models import ModelConfig
from gateway.domain.config.providers import ProviderConfig, Timeouts
from gateway.domain.events import ProviderEvent
from gateway.domain.requests import ChatRequest
from gateway.providers.openai.chat import OpenAIChat

_LOAD_POLL_SECONDS = 0.2


class LocalChat(OpenAIChat):
    """The embedded chat model; not configured unless an embedded server runs.

    `options` are default fields of llama.cpp's request body (`max_tokens`, `repeat_penalty` …), without which
    a small model may repeat itself endlessly. The fields of a request take precedence.
    """

    type = "local"
    supports_raw_parts = False

    def __init__(
        self, name: str, config: ProviderConfig, timeouts: Timeouts, http: httpx.AsyncClient
    ) -> None:
        super().__init__(name, config, timeouts, http)
        self._default_fields = {field: value for field, value in config.options.items() if field != "headers"}

    @property
    def configured(self) -> bool:
        return bool(self.config.base_url)

    def can_serve(self, model: ModelConfig) -> bool:
        # Embeddings are computed in this process and need no server.
        return self.configured or not model.can_chat

    async def stream(self, request: ChatRequest) -> AsyncGenerator[ProviderEvent, None]:
        request = replace(request, extra={**self._default_fields, **request.extra})
        if self.model_loading:
            await self._wait_until_loaded()
        async with aclosing(super().stream(request)) as events:
            async for event in events:
                yield event

    async def _wait_until_loaded(self) -> None:
        """Wait until the server answers, for at most half of the first-token timeout."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self.timeouts.first_token / 2
        while self.model_loading and loop.time() < deadline:
            if (await self.check_health()).reachable:
                break
            await asyncio.sleep(_LOAD_POLL_SECONDS)
        self.model_loading = False
