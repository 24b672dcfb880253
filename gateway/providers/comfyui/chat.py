"""ComfyUI makes pictures and answers no chats: here it is only asked whether it is there."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import httpx

from gateway.core.exceptions import UnsupportedParameter
from gateway.domain.config.catalog import ProviderConfig, Timeouts
from gateway.domain.events import ProviderEvent
from gateway.domain.requests import ChatRequest
from gateway.providers.base import ChatProvider, ProviderHealth
from gateway.providers.http import exchange


class ComfyUIPresence(ChatProvider):
    """Configured where it has an address; `gateway.providers.comfyui.images` does the work."""

    type = "comfyui"

    def __init__(
        self, name: str, config: ProviderConfig, timeouts: Timeouts, http: httpx.AsyncClient
    ) -> None:
        super().__init__(name, config, timeouts, http)
        self._url = f"{exchange.normalize_base_url(config.base_url, 'http://localhost:8188')}/system_stats"

    @property
    def configured(self) -> bool:
        return self.config.base_url is not None

    async def stream(self, request: ChatRequest) -> AsyncGenerator[ProviderEvent, None]:
        raise UnsupportedParameter("This model makes pictures and answers no chats.", param="model")
        yield  # makes this a generator, which the interface asks for

    async def check_health(self) -> ProviderHealth:
        if not self.configured:
            return ProviderHealth(False, "no address is configured")
        return await exchange.probe_url(self.http, self._url, {})
