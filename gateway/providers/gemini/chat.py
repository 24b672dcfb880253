"""Chat with Gemini through `langchain-google-genai`, guarded by `langchain.stream_guard`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import httpx

from gateway.domain.config.providers import ProviderConfig, Timeouts
from gateway.domain.messages import VendorData
from gateway.domain.requests import ChatRequest
from gateway.providers.base import ProviderHealth
from gateway.providers.errors.classifier import classify_stream_error
from gateway.providers.gemini.request_body import PartRecorder, body_overrides
from gateway.providers.http import exchange
from gateway.providers.http.headers import configured_headers
from gateway.providers.langchain.provider import LangChainChatProvider, no_trust_context
from gateway.providers.langchain.stream_guard import CallScope
from gateway.providers.langchain.transports import GuardedTransport
from gateway.providers.openai.request_body import response_format
from gateway.providers.request_params import reject_parameters, thinking_budget
from gateway.providers.token_counts import TokenCounts

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

DEFAULT_BASE_URL = "https://generativelanguage.googleapis.com"
_API_VERSION = "v1beta"
_GATEWAY_OPTIONS = frozenset({"headers", "placeholder_signature"})


class GeminiStreamProtocol:
    is_sse = True
    stream_content_type = "text/event-stream"

    def normalize(self, data: Any) -> Any:
        """Unwrap an error that comes in a list, and drop parts whose text is null."""
        data = data[0] if isinstance(data, list) and data else data
        for candidate in data.get("candidates") or ():
            content = candidate.get("content") or {}
            if content.get("parts"):
                content["parts"] = [part for part in content["parts"] if part.get("text", "") is not None]
        return data

    def is_end(self, data: dict[str, Any]) -> bool:
        if "error" in data:
            raise classify_stream_error(data)
        if (data.get("promptFeedback") or {}).get("blockReason"):
            return True
        return any(candidate.get("finishReason") for candidate in data.get("candidates") or ())

    def is_complete_answer(self, data: dict[str, Any]) -> bool:
        return self.is_end(data)

    def update_counts(self, data: dict[str, Any], counts: TokenCounts) -> None:
        counts.read_gemini(data.get("usageMetadata"))


class GeminiChat(LangChainChatProvider):
    """Chat models of Google's Gemini API.

    `base_url` does not include the API version. Of `options`, `headers` are sent with every call. With
    `placeholder_signature: false`, tool calls without a thought signature are sent without one. All others
    are arguments of `ChatGoogleGenerativeAI`.
    """

    type = "gemini"
    protocol = GeminiStreamProtocol()
    supports_thinking = True

    def __init__(
        self, name: str, config: ProviderConfig, timeouts: Timeouts, http: httpx.AsyncClient
    ) -> None:
        super().__init__(name, config, timeouts, http)
        self._base_url = exchange.normalize_base_url(config.base_url, DEFAULT_BASE_URL)
        self._key = config.api_key or "none"
        self._client: Any = None
        self._sign_unsigned_calls = config.options.get("placeholder_signature") is not False
        self._options = {k: v for k, v in config.options.items() if k not in _GATEWAY_OPTIONS}

    @property
    def configured(self) -> bool:
        return bool(self.config.api_key or self.config.base_url)

    def build_model(self, model: str) -> BaseChatModel:
        from google.genai import Client, types
        from langchain_google_genai import ChatGoogleGenerativeAI

        if self._client is None:
            self._client = Client(
                api_key=self._key,
                vertexai=False,
                http_options=types.HttpOptions(
                    base_url=self._base_url,
                    api_version=_API_VERSION,
                    client_args={"verify": no_trust_context()},
                    httpx_async_client=httpx.AsyncClient(transport=GuardedTransport(self.guard)),
                ),
            )
        chat_model = ChatGoogleGenerativeAI(
            model=model,
            google_api_key=self._key,
            base_url=self._base_url,
            vertexai=False,
            max_retries=1,  # total number of attempts
            client_args={"verify": no_trust_context()},
            **{"temperature": None, **self._options},  # otherwise LangChain sends its own default
        )
        chat_model.client = self._client
        return chat_model

    def call_arguments(self, request: ChatRequest) -> dict[str, Any]:
        reject_parameters(logprobs=request.logprobs, parallel_tool_calls=request.parallel_tool_calls is False)
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
            # The vendor counts thinking tokens towards the output limit.
            limit = sampling.max_tokens
            arguments["thinking_budget"] = budget if limit is None else min(budget, limit // 2)
        if request.response_format is not None:
            arguments["response_format"] = response_format(request.response_format)
        return arguments

    def start_call(self, request: ChatRequest) -> CallScope:
        return CallScope(
            body_overrides(request, sign_unsigned_calls=self._sign_unsigned_calls), recorder=PartRecorder()
        )

    def raw_finish_reason(self, metadata: Mapping[str, Any], call: CallScope) -> str | None:
        if (metadata.get("prompt_feedback") or {}).get("block_reason"):
            return "SAFETY"
        return _recorder(call).finish_reason

    def tool_call_extra(self, call: CallScope, index: int) -> Mapping[str, Any]:
        return _recorder(call).call_extra(index)

    def vendor_data(self, call: CallScope, reasoning: str) -> VendorData | None:
        content = _recorder(call).signed_parts
        return VendorData(content=content) if content is not None else None

    async def check_health(self) -> ProviderHealth:
        if not self.configured:
            return ProviderHealth(False, "no API key is configured")
        url = f"{self._base_url}/{_API_VERSION}/models?pageSize=1"
        return await exchange.probe_url(
            self.http, url, {"x-goog-api-key": self._key, **configured_headers(self.config)}
        )


def _recorder(call: CallScope) -> PartRecorder:
    assert isinstance(call.recorder, PartRecorder)
    return call.recorder
