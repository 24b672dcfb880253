"""Chat over OpenAI's `/chat/completions`, also of compatible servers, without an SDK (decision 2)."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import Any

import httpx

from gateway.core.exceptions import UpstreamRejected
from gateway.domain.config.providers import ProviderConfig, Timeouts
from gateway.domain.events import ProviderEvent
from gateway.domain.messages import VendorData
from gateway.domain.requests import ChatRequest
from gateway.providers.base import ChatProvider
from gateway.providers.http import exchange
from gateway.providers.http.response_stream import stream_events
from gateway.providers.openai.endpoint import OpenAIEndpoint
from gateway.providers.openai.extra_fields import extra_field_names, rejects_field
from gateway.providers.openai.request_body import encode_request
from gateway.providers.openai.response_parser import OpenAIResponseParser
from gateway.providers.vendor_data import filter_vendor_data


class OpenAIChat(OpenAIEndpoint, ChatProvider):
    """Chat models of OpenAI and of OpenAI-compatible servers.

    Of `options`, `headers` are sent with every call. `max_tokens_field` is the
    server's name of the token limit, or a mapping of model patterns to such names. `message_fields` (`all` or
    `known`) says whether message fields that OpenAI does not document are sent; a model that rejects one gets
    none from then on.
    """

    path = "/chat/completions"
    supports_raw_parts = True

    def __init__(
        self, name: str, config: ProviderConfig, timeouts: Timeouts, http: httpx.AsyncClient
    ) -> None:
        super().__init__(name, config, timeouts, http)
        self._max_tokens_fields = _max_tokens_fields(
            config.options.get("max_tokens_field"), self._is_official
        )
        message_fields = config.options.get("message_fields") or ("known" if self._is_official else "all")
        if message_fields not in ("all", "known"):
            raise ValueError("options.message_fields must be `all` or `known`")
        self._known_fields_only = message_fields == "known"
        # Models that have rejected an undocumented message field.
        self._strict_models: set[str] = set()

    async def stream(self, request: ChatRequest) -> AsyncGenerator[ProviderEvent, None]:
        messages = filter_vendor_data(
            request.messages, self.type, self.name, request.model, single_vendor=False
        )
        if messages is not request.messages:
            request = replace(request, messages=messages)
        parser = OpenAIResponseParser(VendorData(self.type, self.name, request.model))
        response = await self._send_with_fallback(request)
        async with aclosing(stream_events(response, parser, stream=request.stream)) as events:
            async for event in events:
                yield event

    async def _send_with_fallback(self, request: ChatRequest) -> httpx.Response:
        """Send the request.

        If the server rejects an extra message field, the request is sent again without them.
        """
        known_fields_only = self._known_fields_only or request.model in self._strict_models
        try:
            return await self._send(request, known_fields_only)
        except UpstreamRejected as error:
            if known_fields_only or not rejects_field(extra_field_names(request.messages), error):
                raise
        response = await self._send(request, True)
        self._strict_models.add(request.model)
        return response

    async def _send(self, request: ChatRequest, known_fields_only: bool) -> httpx.Response:
        body = encode_request(
            request, self._max_tokens_field(request.model), known_fields_only=known_fields_only
        )
        return await exchange.send(self.http, self._request(body))

    def _max_tokens_field(self, model: str) -> str:
        return next(field for pattern, field in self._max_tokens_fields if fnmatchcase(model, pattern))


def _max_tokens_fields(option: Any, official: bool) -> list[tuple[str, str]]:
    """Return (model pattern, field name) pairs; the last pattern matches every model.

    Raises:
        ValueError: the option is neither a name nor a mapping of patterns to names.
    """
    # api.openai.com has renamed the field, and its reasoning models reject the old name.
    default = "max_completion_tokens" if official else "max_tokens"
    if option is None:
        return [("*", default)]
    mapping = {"*": option} if isinstance(option, str) else option
    if not isinstance(mapping, dict) or not all(
        isinstance(field, str) and field for field in mapping.values()
    ):
        raise ValueError("options.max_tokens_field must be a field name, or map model patterns to one")
    return [*((str(pattern), field) for pattern, field in mapping.items()), ("*", default)]
