"""OpenAI and every server that speaks its `/chat/completions`, straight on the wire (decision 0002)."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import Any

import httpx

from gateway.core.exceptions import UpstreamRejected
from gateway.domain.catalog import ProviderConfig, Timeouts
from gateway.domain.chat import ChatRequest
from gateway.domain.events import ProviderEvent
from gateway.domain.messages import VendorData
from gateway.providers.chat import wire
from gateway.providers.chat.base import ChatProvider, ProviderHealth
from gateway.providers.chat.further_fields import further_names, refuses_one_of
from gateway.providers.chat.openai_answer import AnswerReader
from gateway.providers.chat.openai_body import encode
from gateway.providers.chat.openai_headers import headers_of
from gateway.providers.chat.relay import relay
from gateway.providers.chat.vendor_data import given_back

DEFAULT_BASE_URL = "https://api.openai.com/v1"


class OpenAIProvider(ChatProvider):
    """`base_url` includes `/v1`; URL and headers are built once.

    `options`: `headers` are sent with every call. `max_tokens_field` is the vendor's name of the token limit,
    or a mapping of patterns of models to it. `message_fields` is `all` or `known`: whether fields of messages
    that OpenAI's own API does not document are sent; a model that refuses one does not get them again.
    """

    type = "openai"
    takes_raw_parts = True

    def __init__(
        self, name: str, config: ProviderConfig, timeouts: Timeouts, http: httpx.AsyncClient
    ) -> None:
        super().__init__(name, config, timeouts, http)
        base = wire.base_url_of(config.base_url, DEFAULT_BASE_URL)
        self._url = httpx.URL(f"{base}/chat/completions")
        self._models_url = f"{base}/models"
        official = self._url.host == "api.openai.com"
        self._max_tokens_fields = _max_tokens_fields(config.options.get("max_tokens_field"), official)
        wanted = config.options.get("message_fields") or ("known" if official else "all")
        if wanted not in ("all", "known"):
            raise ValueError("options.message_fields is `all` or `known`")
        self._known_only = wanted == "known"
        # Models that have refused a field of a message that OpenAI's own API does not document.
        self._strict: set[str] = set()
        own = {"host": self._url.netloc.decode(), "accept-encoding": "identity"}
        self._headers = httpx.Headers({**headers_of(config), **own}, encoding="utf-8")
        self._extensions = {"timeout": wire.timeouts_of(timeouts)}

    @property
    def configured(self) -> bool:
        return bool(self.config.api_key or self.config.base_url)

    async def stream(self, request: ChatRequest) -> AsyncGenerator[ProviderEvent, None]:
        messages = given_back(request.messages, self.type, self.name, request.model, one_vendor=False)
        if messages is not request.messages:
            request = replace(request, messages=messages)
        reader = AnswerReader(VendorData(self.type, self.name, request.model))
        response = await self._response(request)
        async with aclosing(relay(response, reader, incremental=request.incremental)) as events:
            async for event in events:
                yield event

    async def _response(self, request: ChatRequest) -> httpx.Response:
        """The vendor's answer; one that refuses a further field of a message is asked again without them."""
        known_only = self._known_only or request.model in self._strict
        try:
            return await self._sent(request, known_only)
        except UpstreamRejected as error:
            if known_only or not refuses_one_of(further_names(request.messages), error):
                raise
        response = await self._sent(request, True)
        self._strict.add(request.model)
        return response

    async def _sent(self, request: ChatRequest, known_only: bool) -> httpx.Response:
        body = encode(request, self._max_tokens_field(request.model), known_only=known_only)
        call = httpx.Request(
            "POST", self._url, headers=self._headers, content=body, extensions=dict(self._extensions)
        )
        return await wire.send(self.http, call)

    def _max_tokens_field(self, model: str) -> str:
        return next(field for pattern, field in self._max_tokens_fields if fnmatchcase(model, pattern))

    async def check(self) -> ProviderHealth:
        if not self.configured:
            return ProviderHealth(False, "no API key is configured")
        return await wire.check_url(self.http, self._models_url, self._headers)


def _max_tokens_fields(option: Any, official: bool) -> list[tuple[str, str]]:
    """Patterns of model names, each with the name of the token limit; the last one matches every model.

    Raises:
        ValueError: the option is neither a name nor a mapping of patterns to names.
    """
    # api.openai.com has renamed the field, and its reasoning models refuse the old name.
    otherwise = "max_completion_tokens" if official else "max_tokens"
    if option is None:
        return [("*", otherwise)]
    given = {"*": option} if isinstance(option, str) else option
    if not isinstance(given, dict) or not all(isinstance(field, str) and field for field in given.values()):
        raise ValueError("options.max_tokens_field is a field's name, or maps patterns of models to one")
    return [*((str(pattern), field) for pattern, field in given.items()), ("*", otherwise)]
