"""What all endpoints of OpenAI's API share: base URL, headers, timeouts, health check."""

from __future__ import annotations

from typing import ClassVar

import httpx

from gateway.domain.config.providers import ProviderConfig, Timeouts
from gateway.providers.base import Provider, ProviderHealth
from gateway.providers.http import exchange
from gateway.providers.http.headers import json_headers

_DEFAULT_BASE_URL = "https://api.openai.com/v1"


class OpenAIEndpoint(Provider):
    """One endpoint of OpenAI or of an OpenAI-compatible server; `base_url` includes `/v1`."""

    type = "openai"
    # Of the endpoint, below the base URL.
    path: ClassVar[str]

    def __init__(
        self, name: str, config: ProviderConfig, timeouts: Timeouts, http: httpx.AsyncClient
    ) -> None:
        super().__init__(name, config, timeouts, http)
        base_url = exchange.normalize_base_url(config.base_url, _DEFAULT_BASE_URL)
        self._url = httpx.URL(f"{base_url}{self.path}")
        self._models_url = f"{base_url}/models"
        self._is_official = self._url.host == "api.openai.com"
        connection_headers = {"host": self._url.netloc.decode(), "accept-encoding": "identity"}
        # Built once, since httpx spends much time on headers.
        self._headers = httpx.Headers({**json_headers(config), **connection_headers}, encoding="utf-8")
        self._extensions = {"timeout": exchange.timeout_extension(timeouts)}

    @property
    def configured(self) -> bool:
        return bool(self.config.api_key or self.config.base_url)

    async def check_health(self) -> ProviderHealth:
        if not self.configured:
            return ProviderHealth(False, "no API key is configured")
        return await exchange.probe_url(self.http, self._models_url, self._headers)

    def _request(self, body: bytes) -> httpx.Request:
        return httpx.Request(
            "POST", self._url, headers=self._headers, content=body, extensions=dict(self._extensions)
        )
