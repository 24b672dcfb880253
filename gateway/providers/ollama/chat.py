"""Chat with Ollama through `langchain-ollama`, guarded by `langchain.stream_guard`."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

import httpx
import orjson

from gateway.core.exceptions import GatewayError
from gateway.domain.config.providers import ProviderConfig, Timeouts
from gateway.domain.messages import ImagePart, Message, VendorData
from gateway.domain.requests import ChatRequest
from gateway.providers.base import ProviderHealth
from gateway.providers.errors.classifier import classify_stream_error
from gateway.providers.http import exchange
from gateway.providers.http.headers import auth_headers
from gateway.providers.inline_images import parse_image_data_url
from gateway.providers.langchain.provider import LangChainChatProvider, no_trust_context
from gateway.providers.langchain.stream_guard import CallScope
from gateway.providers.langchain.transports import GuardedTransport
from gateway.providers.request_params import reject_parameters
from gateway.providers.token_counts import TokenCounts
from gateway.providers.tool_call_assembler import arguments_as_object

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

DEFAULT_BASE_URL = "http://localhost:11434"
_REQUEST_FIELDS = frozenset({"headers", "reasoning", "keep_alive"})


class OllamaStreamProtocol:
    is_sse = False
    stream_content_type = "ndjson"

    def normalize(self, data: Any) -> Any:
        """Add what the SDK requires.

        Each line needs a message with text, and arguments must be objects.
        """
        if data.get("error"):
            return data
        message = {"role": "assistant", **(data.get("message") or {})}
        message["content"] = message.get("content") or ""
        for call in message.get("tool_calls") or ():
            arguments = call["function"].get("arguments")
            call["function"]["arguments"] = (
                arguments_as_object(arguments) if isinstance(arguments, str) else arguments or {}
            )
        return {**data, "message": message}

    def is_end(self, data: dict[str, Any]) -> bool:
        if data.get("error"):
            raise classify_stream_error(data)
        return data.get("done") is True

    def is_complete_answer(self, data: dict[str, Any]) -> bool:
        return self.is_end(data)

    def update_counts(self, data: dict[str, Any], counts: TokenCounts) -> None:
        if data.get("done"):
            counts.read_ollama(data)


class OllamaChat(LangChainChatProvider):
    """Chat models of an Ollama server.

    Of `options`, `headers` are sent with every call, `reasoning` and `keep_alive` are fields of the body, and
    all others are Ollama's model options (`num_ctx` …). Ollama silently truncates a prompt to the context
    window with which it loaded the model, so each call states the window: the model's `context_window`, of
    which `num_ctx` is the upper limit (`Catalog`).
    """

    type = "ollama"
    protocol = OllamaStreamProtocol()

    def __init__(
        self, name: str, config: ProviderConfig, timeouts: Timeouts, http: httpx.AsyncClient
    ) -> None:
        super().__init__(name, config, timeouts, http)
        self._base_url = exchange.normalize_base_url(config.base_url, DEFAULT_BASE_URL)
        window = config.options.get("num_ctx")
        if window is not None and (type(window) is not int or window < 1):
            raise ValueError("options.num_ctx must be a whole number above 0")
        self._headers = auth_headers(config)
        self._model_options = {k: v for k, v in config.options.items() if k not in _REQUEST_FIELDS}

    def build_model(self, model: str) -> BaseChatModel:
        from langchain_ollama import ChatOllama

        return ChatOllama(
            model=model,
            base_url=self._base_url,
            client_kwargs={"trust_env": False, "headers": self._headers, "verify": no_trust_context()},
            async_client_kwargs={"transport": GuardedTransport(self.guard)},
            keep_alive=self.config.options.get("keep_alive"),
            reasoning=True,  # keeps thinking in the response; `think` of the body requests it
        )

    def call_arguments(self, request: ChatRequest) -> dict[str, Any]:
        reject_parameters(logprobs=request.logprobs, parallel_tool_calls=request.parallel_tool_calls is False)
        reject_parameters(
            tool_choice=bool(request.tools) and request.tool_choice.mode in ("required", "function")
        )
        sampling = request.sampling
        options = {
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "num_predict": sampling.max_tokens,
            "seed": sampling.seed,
            "presence_penalty": sampling.presence_penalty,
            "frequency_penalty": sampling.frequency_penalty,
            "stop": list(sampling.stop) or None,
        }
        set_options = {name: value for name, value in options.items() if value is not None}
        if request.context_window is not None:
            set_options["num_ctx"] = request.context_window
        arguments: dict[str, Any] = {
            "options": {**self._model_options, **set_options},
            "stream": request.stream,
        }
        response_format = request.response_format
        if response_format is not None:
            arguments["format"] = response_format.schema if response_format.type == "json_schema" else "json"
        return arguments

    def start_call(self, request: ChatRequest) -> CallScope:
        names = {call.id: call.name for message in request.messages for call in message.tool_calls}
        body: dict[str, Any] = {
            "messages": [_message(message, names) for message in request.messages],
            "think": self.config.options.get("reasoning"),
            "tools": None,
        }
        # The SDK's own tool type drops nested objects, `anyOf` and limits of a schema.
        if request.tools and request.tool_choice.mode != "none":
            body["tools"] = [
                {
                    "type": "function",
                    "function": {"name": s.name, "description": s.description, "parameters": s.parameters},
                }
                for s in request.tools
            ]
        return CallScope(body)

    def raw_finish_reason(self, metadata: Mapping[str, Any], call: CallScope) -> str | None:
        return metadata.get("done_reason") or ("stop" if metadata.get("done") else None)

    def vendor_data(self, call: CallScope, reasoning: str) -> VendorData | None:
        return VendorData(fields={"reasoning_content": reasoning}) if reasoning else None

    async def missing_models(self, models: Collection[str]) -> list[str] | None:
        """Return the models that were not pulled; a name without a tag means `latest`."""
        extensions = {"timeout": dict.fromkeys(("connect", "read", "write", "pool"), 5.0)}
        request = httpx.Request(
            "GET", f"{self._base_url}/api/tags", headers=self._headers, extensions=extensions
        )
        try:
            response = await exchange.send(self.http, request)
            try:
                listing = orjson.loads(await exchange.read_body(response))
            finally:
                await response.aclose()
            installed = {str(model["name"]) for model in listing["models"]}
        except (GatewayError, ValueError, KeyError, TypeError):
            return None
        return [name for name in models if (name if ":" in name else f"{name}:latest") not in installed]

    async def check_health(self) -> ProviderHealth:
        return await exchange.probe_url(self.http, f"{self._base_url}/api/version", self._headers)


def _message(message: Message, names: Mapping[str, str]) -> dict[str, Any]:
    out: dict[str, Any] = {"role": message.role, "content": message.text}
    if message.has_images:
        out["images"] = [
            parse_image_data_url(part.url)[1] for part in message.content if isinstance(part, ImagePart)
        ]
    if message.role == "tool":
        out["tool_name"] = message.name or names.get(message.tool_call_id or "", "")
        out["tool_call_id"] = message.tool_call_id
    if message.tool_calls:
        out["tool_calls"] = [
            {"id": call.id, "function": {"name": call.name, "arguments": arguments_as_object(call.arguments)}}
            for call in message.tool_calls
        ]
        reasoning = message.vendor.fields.get("reasoning_content") if message.vendor is not None else None
        if isinstance(reasoning, str):
            out["thinking"] = reasoning
    return out
