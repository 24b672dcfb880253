"""Chat over Anthropic's Messages API (`/v1/messages`), without an SDK (decision 36)."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import replace
from typing import Any

import httpx

from gateway.core.exceptions import UnsupportedParameter
from gateway.domain.config.providers import ProviderConfig, Timeouts
from gateway.domain.events import ProviderEvent
from gateway.domain.messages import VendorData
from gateway.domain.requests import ChatRequest
from gateway.providers.anthropic.request_body import encode_request, reject_unsupported
from gateway.providers.anthropic.response_parser import AnthropicResponseParser
from gateway.providers.base import ChatProvider, ProviderHealth
from gateway.providers.http import exchange
from gateway.providers.http.response_stream import stream_events
from gateway.providers.request_params import reject_openai_params
from gateway.providers.vendor_data import filter_vendor_data

DEFAULT_BASE_URL = "https://api.anthropic.com"
_API_VERSION = "2023-06-01"
_HEADER_OPTIONS = frozenset({"headers", "default_headers", "betas"})


class AnthropicChat(ChatProvider):
    """Chat models of Anthropic.

    `base_url` does not include `/v1`. Of `options`, `headers` are sent with every call and `betas` become the
    header `anthropic-beta`. All others are default fields of the body, such as `thinking` and `max_tokens`;
    the fields of a request take precedence.
    """

    type = "anthropic"

    def __init__(
        self, name: str, config: ProviderConfig, timeouts: Timeouts, http: httpx.AsyncClient
    ) -> None:
        super().__init__(name, config, timeouts, http)
        base_url = exchange.normalize_base_url(config.base_url, DEFAULT_BASE_URL)
        self._url = httpx.URL(f"{base_url}/v1/messages")
        self._models_url = f"{base_url}/v1/models"
        self._body_options = {
            name: value for name, value in config.options.items() if name not in _HEADER_OPTIONS
        }
        headers = {
            "content-type": "application/json",
            "user-agent": "llm-gateway",
            "x-api-key": config.api_key or "none",
            "anthropic-version": _API_VERSION,
            **_option_headers(config.options),
        }
        for header, value in headers.items():
            exchange.validate_header(header, value)
        self._headers = httpx.Headers(
            {**headers, "host": self._url.netloc.decode(), "accept-encoding": "identity"}, encoding="utf-8"
        )
        self._extensions = {"timeout": exchange.timeout_extension(timeouts)}

    @property
    def configured(self) -> bool:
        return bool(self.config.api_key or self.config.base_url)

    def find_unsupported(self, request: ChatRequest) -> UnsupportedParameter | None:
        try:
            reject_openai_params(request.extra, supports_thinking=True)
            reject_unsupported(request)
        except UnsupportedParameter as error:
            return error
        return None

    async def stream(self, request: ChatRequest) -> AsyncGenerator[ProviderEvent, None]:
        reject_openai_params(request.extra, supports_thinking=True)
        messages = filter_vendor_data(
            request.messages, self.type, self.name, request.model, single_vendor=True
        )
        if messages is not request.messages:
            request = replace(request, messages=messages)
        body = encode_request(request, self._body_options)
        call = httpx.Request(
            "POST", self._url, headers=self._headers, content=body, extensions=dict(self._extensions)
        )
        parser = AnthropicResponseParser(VendorData(self.type, self.name, request.model))
        response = await exchange.send(self.http, call)
        async with aclosing(stream_events(response, parser, stream=request.stream)) as events:
            async for event in events:
                yield event

    async def check_health(self) -> ProviderHealth:
        if not self.configured:
            return ProviderHealth(False, "no API key is configured")
        return await exchange.probe_url(self.http, self._models_url, self._headers)


def _option_headers(options: Mapping[str, Any]) -> dict[str, str]:
    configured = {**(options.get("default_headers") or {}), **(options.get("headers") or {})}
    headers = {str(name).lower(): str(value) for name, value in configured.items()}
    if options.get("betas"):
        headers["anthropic-beta"] = ",".join(map(str, options["betas"]))
    return headers
