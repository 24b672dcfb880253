"""Gemini by `langchain-google-genai`, its answers watched for a finish reason."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import httpx

from gateway.domain.catalog import ProviderConfig, Timeouts
from gateway.domain.chat import ChatRequest
from gateway.domain.messages import VendorData
from gateway.providers.chat import wire
from gateway.providers.chat.base import ProviderHealth
from gateway.providers.chat.gemini_body import Recorder, fields
from gateway.providers.chat.guard import GuardedCall
from gateway.providers.chat.guard_httpx import GuardedTransport
from gateway.providers.chat.langchain_provider import LangChainProvider, trusting_nobody
from gateway.providers.chat.openai_body import response_format
from gateway.providers.chat.openai_extras import refuse_parameters, thinking_budget
from gateway.providers.chat.openai_headers import own_headers
from gateway.providers.chat.refusals import error_in_stream
from gateway.providers.chat.token_counts import TokenCounts

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

DEFAULT_BASE_URL = "https://generativelanguage.googleapis.com"
_API_VERSION = "v1beta"
_OURS = frozenset({"headers", "placeholder_signature"})


class GeminiMarks:
    sse = True
    stream_type = "text/event-stream"

    def readable(self, data: Any) -> Any:
        """Errors come in a list too; parts of null text say nothing."""
        data = data[0] if isinstance(data, list) and data else data
        for candidate in data.get("candidates") or ():
            content = candidate.get("content") or {}
            if content.get("parts"):
                content["parts"] = [part for part in content["parts"] if part.get("text", "") is not None]
        return data

    def is_end(self, data: dict[str, Any]) -> bool:
        if "error" in data:
            raise error_in_stream(data)
        if (data.get("promptFeedback") or {}).get("blockReason"):
            return True
        return any(candidate.get("finishReason") for candidate in data.get("candidates") or ())

    def is_answer(self, data: dict[str, Any]) -> bool:
        return self.is_end(data)

    def count(self, data: dict[str, Any], counts: TokenCounts) -> None:
        counts.gemini(data.get("usageMetadata"))


class GeminiProvider(LangChainProvider):
    """`base_url` is without the API's version.

    `options`: `headers` are sent with every call. With `placeholder_signature: false`, tool calls without a
    thought signature are sent as they are. The rest go to `ChatGoogleGenerativeAI`.
    """

    type = "gemini"
    marks = GeminiMarks()
    thinks = True

    def __init__(
        self, name: str, config: ProviderConfig, timeouts: Timeouts, http: httpx.AsyncClient
    ) -> None:
        super().__init__(name, config, timeouts, http)
        self._base_url = wire.base_url_of(config.base_url, DEFAULT_BASE_URL)
        self._key = config.api_key or "none"
        self._client: Any = None
        self._placeholder = config.options.get("placeholder_signature") is not False
        self._options = {k: v for k, v in config.options.items() if k not in _OURS}

    @property
    def configured(self) -> bool:
        return bool(self.config.api_key or self.config.base_url)

    def build(self, model: str) -> BaseChatModel:
        from google.genai import Client, types
        from langchain_google_genai import ChatGoogleGenerativeAI

        if self._client is None:
            self._client = Client(
                api_key=self._key,
                vertexai=False,
                http_options=types.HttpOptions(
                    base_url=self._base_url,
                    api_version=_API_VERSION,
                    client_args={"verify": trusting_nobody()},
                    httpx_async_client=httpx.AsyncClient(transport=GuardedTransport(self.guard)),
                ),
            )
        chat = ChatGoogleGenerativeAI(
            model=model,
            google_api_key=self._key,
            base_url=self._base_url,
            vertexai=False,
            max_retries=1,  # attempts in all
            client_args={"verify": trusting_nobody()},
            **{"temperature": None, **self._options},  # its own default would be sent otherwise
        )
        chat.client = self._client
        return chat

    def arguments(self, request: ChatRequest) -> dict[str, Any]:
        refuse_parameters(logprobs=request.logprobs, parallel_tool_calls=request.parallel_tool_calls is False)
        sampling = request.sampling
        fields = {
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "max_output_tokens": sampling.max_tokens,
            "seed": sampling.seed,
            "presence_penalty": sampling.presence_penalty,
            "frequency_penalty": sampling.frequency_penalty,
            "stop": list(sampling.stop) or None,
        }
        arguments: dict[str, Any] = {name: value for name, value in fields.items() if value is not None}
        budget = thinking_budget(request)
        if budget is not None:
            # The vendor counts thoughts in the limit of the answer.
            limit = sampling.max_tokens
            arguments["thinking_budget"] = budget if limit is None else min(budget, limit // 2)
        if request.response_format is not None:
            arguments["response_format"] = response_format(request.response_format)
        return arguments

    def call(self, request: ChatRequest) -> GuardedCall:
        return GuardedCall(fields(request, placeholder=self._placeholder), record=Recorder())

    def finish_word(self, metadata: Mapping[str, Any], call: GuardedCall) -> str | None:
        if (metadata.get("prompt_feedback") or {}).get("block_reason"):
            return "SAFETY"
        return _recorder(call).finish

    def extra_of(self, call: GuardedCall, index: int) -> Mapping[str, Any]:
        return _recorder(call).call_field(index)

    def wanted_back(self, call: GuardedCall, reasoning: str) -> VendorData | None:
        content = _recorder(call).signed
        return VendorData(content=content) if content is not None else None

    async def check(self) -> ProviderHealth:
        if not self.configured:
            return ProviderHealth(False, "no API key is configured")
        url = f"{self._base_url}/{_API_VERSION}/models?pageSize=1"
        return await wire.check_url(self.http, url, {"x-goog-api-key": self._key, **own_headers(self.config)})


def _recorder(call: GuardedCall) -> Recorder:
    assert isinstance(call.record, Recorder)
    return call.record
