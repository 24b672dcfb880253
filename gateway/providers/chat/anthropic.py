"""Anthropic's `/v1/messages`, straight on the wire (decision 36)."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import replace
from typing import Any

import httpx

from gateway.core.exceptions import UnsupportedParameter
from gateway.domain.catalog import ProviderConfig, Timeouts
from gateway.domain.chat import ChatRequest
from gateway.domain.events import ProviderEvent
from gateway.domain.messages import VendorData
from gateway.providers.chat import wire
from gateway.providers.chat.anthropic_answer import AnthropicReader
from gateway.providers.chat.anthropic_body import check, encode
from gateway.providers.chat.base import ChatProvider, ProviderHealth
from gateway.providers.chat.openai_extras import refuse_extras
from gateway.providers.chat.relay import relay
from gateway.providers.chat.vendor_data import given_back

DEFAULT_BASE_URL = "https://api.anthropic.com"
_VERSION = "2023-06-01"
_OURS = frozenset({"headers", "default_headers", "betas"})


class AnthropicProvider(ChatProvider):
    """`base_url` is without `/v1`.

    `options`: `headers` are sent with every call, `betas` are names for the header `anthropic-beta`; the rest
    are fields of the body, such as `thinking` and `max_tokens`, which a request's own come before.
    """

    type = "anthropic"

    def __init__(
        self, name: str, config: ProviderConfig, timeouts: Timeouts, http: httpx.AsyncClient
    ) -> None:
        super().__init__(name, config, timeouts, http)
        base = wire.base_url_of(config.base_url, DEFAULT_BASE_URL)
        self._url = httpx.URL(f"{base}/v1/messages")
        self._models_url = f"{base}/v1/models"
        self._options = {name: value for name, value in config.options.items() if name not in _OURS}
        headers = {
            "content-type": "application/json",
            "user-agent": "llm-gateway",
            "x-api-key": config.api_key or "none",
            "anthropic-version": _VERSION,
            **_headers(config.options),
        }
        for header, value in headers.items():
            wire.check_header(header, value)
        self._headers = httpx.Headers(
            {**headers, "host": self._url.netloc.decode(), "accept-encoding": "identity"}, encoding="utf-8"
        )
        self._extensions = {"timeout": wire.timeouts_of(timeouts)}

    @property
    def configured(self) -> bool:
        return bool(self.config.api_key or self.config.base_url)

    def refusal(self, request: ChatRequest) -> UnsupportedParameter | None:
        try:
            refuse_extras(request.extra, thinks=True)
            check(request)
        except UnsupportedParameter as error:
            return error
        return None

    async def stream(self, request: ChatRequest) -> AsyncGenerator[ProviderEvent, None]:
        refuse_extras(request.extra, thinks=True)
        messages = given_back(request.messages, self.type, self.name, request.model, one_vendor=True)
        if messages is not request.messages:
            request = replace(request, messages=messages)
        body = encode(request, self._options)
        call = httpx.Request(
            "POST", self._url, headers=self._headers, content=body, extensions=dict(self._extensions)
        )
        reader = AnthropicReader(VendorData(self.type, self.name, request.model))
        response = await wire.send(self.http, call)
        async with aclosing(relay(response, reader, incremental=request.incremental)) as events:
            async for event in events:
                yield event

    async def check(self) -> ProviderHealth:
        if not self.configured:
            return ProviderHealth(False, "no API key is configured")
        return await wire.check_url(self.http, self._models_url, self._headers)


def _headers(options: Mapping[str, Any]) -> dict[str, str]:
    given = {**(options.get("default_headers") or {}), **(options.get("headers") or {})}
    headers = {str(name).lower(): str(value) for name, value in given.items()}
    if options.get("betas"):
        headers["anthropic-beta"] = ",".join(map(str, options["betas"]))
    return headers
