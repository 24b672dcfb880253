"""Anthropic by `langchain-anthropic`, its answers watched for `message_stop`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import httpx

from gateway.domain.catalog import ProviderConfig, Timeouts
from gateway.domain.chat import ChatRequest
from gateway.providers.chat import langchain_bridge as bridge
from gateway.providers.chat import wire
from gateway.providers.chat.base import ProviderHealth
from gateway.providers.chat.langchain_provider import LangChainProvider
from gateway.providers.chat.openai_body import response_format
from gateway.providers.chat.refusals import error_in_stream
from gateway.providers.chat.token_counts import TokenCounts

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

DEFAULT_BASE_URL = "https://api.anthropic.com"
_VERSION = "2023-06-01"


class AnthropicMarks:
    sse = True
    stream_type = "text/event-stream"

    def is_end(self, data: dict[str, Any]) -> bool:
        if data["type"] == "error":
            raise error_in_stream(data)
        return bool(data["type"] == "message_stop")

    def is_answer(self, data: dict[str, Any]) -> bool:
        return data["type"] == "message" and isinstance(data["content"], list) and bool(data["stop_reason"])

    def count(self, data: dict[str, Any], counts: TokenCounts) -> None:
        kind = data["type"]
        if kind == "message_start":
            counts.anthropic(data["message"].get("usage"))
        elif kind in ("message", "message_delta"):
            counts.anthropic(data.get("usage"))


class AnthropicProvider(LangChainProvider):
    """`options` are further arguments of `ChatAnthropic`, such as `thinking`."""

    type = "anthropic"
    marks = AnthropicMarks()
    one_system_message = True
    finish_reasons = {  # noqa: RUF012 - a constant of the class
        "end_turn": "stop",
        "stop_sequence": "stop",
        "max_tokens": "length",
        "model_context_window_exceeded": "length",
        "tool_use": "tool_calls",
        "refusal": "content_filter",
    }

    def __init__(
        self, name: str, config: ProviderConfig, timeouts: Timeouts, http: httpx.AsyncClient
    ) -> None:
        super().__init__(name, config, timeouts, http)
        self._base_url = wire.base_url_of(config.base_url, DEFAULT_BASE_URL)
        self._client: Any = None

    @property
    def configured(self) -> bool:
        return bool(self.config.api_key or self.config.base_url)

    def build(self, model: str) -> BaseChatModel:
        import anthropic
        import httpx2
        from langchain_anthropic import ChatAnthropic

        from gateway.providers.chat.guard_httpx2 import GuardedTransport

        key = self.config.api_key or "none"
        if self._client is None:
            self._client = anthropic.AsyncAnthropic(
                api_key=key,
                base_url=self._base_url,
                max_retries=0,
                http_client=httpx2.AsyncClient(transport=GuardedTransport(self.guard)),
            )
        chat = ChatAnthropic(
            model_name=model, api_key=key, base_url=self._base_url, max_retries=0, **self.config.options
        )
        chat.__dict__["_async_client"] = self._client  # a cached property, filled before its first use
        return chat

    def arguments(self, request: ChatRequest) -> dict[str, Any]:
        sampling = request.sampling
        wanted = request.response_format
        bridge.refuse(
            logprobs=request.logprobs,
            seed=sampling.seed,
            presence_penalty=sampling.presence_penalty or None,
            frequency_penalty=sampling.frequency_penalty or None,
            response_format=wanted is not None and wanted.type == "json_object",
        )
        arguments: dict[str, Any] = {}
        if sampling.temperature is not None:
            arguments["temperature"] = min(sampling.temperature, 1.0)  # OpenAI's scale goes to 2
        if sampling.top_p is not None:
            arguments["top_p"] = sampling.top_p
        if sampling.max_tokens is not None:
            arguments["max_tokens"] = sampling.max_tokens
        if sampling.stop:
            arguments["stop"] = list(sampling.stop)
        if wanted is not None:
            arguments["response_format"] = response_format(wanted)
        if request.tools:
            arguments["tools"] = [
                {"name": tool.name, "description": tool.description, "input_schema": tool.parameters}
                for tool in request.tools
            ]
            choice = _tool_choice(request)
            if choice:
                arguments["tool_choice"] = choice
        return arguments

    def finish_word(self, metadata: Mapping[str, Any]) -> str | None:
        return metadata.get("stop_reason")

    async def check(self) -> ProviderHealth:
        if not self.configured:
            return ProviderHealth(False, "no API key is configured")
        headers = {"x-api-key": self.config.api_key or "none", "anthropic-version": _VERSION}
        return await wire.check_url(self.http, f"{self._base_url}/v1/models", headers)


def _tool_choice(request: ChatRequest) -> dict[str, Any]:
    choice = request.tool_choice
    out: dict[str, Any] = {}
    if choice.mode == "function":
        out = {"type": "tool", "name": choice.name}
    elif choice.mode != "auto":
        out = {"type": "any" if choice.mode == "required" else "none"}
    if request.parallel_tool_calls is not None and choice.mode != "none":
        out = {"type": "auto", **out, "disable_parallel_tool_use": not request.parallel_tool_calls}
    return out
