"""Ollama by `langchain-ollama`, its answers watched for the `done` line."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

import httpx
import orjson

from gateway.core.exceptions import GatewayError
from gateway.domain.catalog import ProviderConfig, Timeouts
from gateway.domain.chat import ChatRequest
from gateway.providers.chat import langchain_bridge as bridge
from gateway.providers.chat import wire
from gateway.providers.chat.base import ProviderHealth
from gateway.providers.chat.guard_httpx import GuardedTransport
from gateway.providers.chat.langchain_provider import LangChainProvider, trusting_nobody
from gateway.providers.chat.refusals import error_in_stream
from gateway.providers.chat.token_counts import TokenCounts

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

DEFAULT_BASE_URL = "http://localhost:11434"
_REQUEST_FIELDS = frozenset({"reasoning", "keep_alive"})


class OllamaMarks:
    sse = False
    stream_type = "ndjson"

    def is_end(self, data: dict[str, Any]) -> bool:
        if data.get("error"):
            raise error_in_stream(data)
        return data.get("done") is True

    def is_answer(self, data: dict[str, Any]) -> bool:
        return self.is_end(data)

    def count(self, data: dict[str, Any], counts: TokenCounts) -> None:
        if data.get("done"):
            counts.ollama(data)


class OllamaProvider(LangChainProvider):
    """`options`: `reasoning` and `keep_alive`, the rest are Ollama's model options (`num_ctx` …)."""

    type = "ollama"
    marks = OllamaMarks()
    finish_reasons = {"stop": "stop", "length": "length"}  # noqa: RUF012 - a constant of the class
    failed_reasons = frozenset({"load", "unload"})  # a model was loaded, and nothing generated

    def __init__(
        self, name: str, config: ProviderConfig, timeouts: Timeouts, http: httpx.AsyncClient
    ) -> None:
        super().__init__(name, config, timeouts, http)
        self._base_url = wire.base_url_of(config.base_url, DEFAULT_BASE_URL)
        self._options = {k: v for k, v in config.options.items() if k not in _REQUEST_FIELDS}

    def build(self, model: str) -> BaseChatModel:
        from langchain_ollama import ChatOllama

        headers = {"authorization": f"Bearer {self.config.api_key}"} if self.config.api_key else {}
        return ChatOllama(
            model=model,
            base_url=self._base_url,
            client_kwargs={"trust_env": False, "headers": headers, "verify": trusting_nobody()},
            async_client_kwargs={"transport": GuardedTransport(self.guard)},
            keep_alive=self.config.options.get("keep_alive"),
            reasoning=True,  # so that thinking is not dropped; what is asked for is set in `body`
        )

    def arguments(self, request: ChatRequest) -> dict[str, Any]:
        bridge.refuse(logprobs=request.logprobs, parallel_tool_calls=request.parallel_tool_calls is False)
        bridge.refuse(
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
        arguments: dict[str, Any] = {
            "options": {**self._options, **set_options},
            "stream": request.incremental,
        }
        wanted = request.response_format
        if wanted is not None:
            arguments["format"] = wanted.schema if wanted.type == "json_schema" else "json"
        return arguments

    def body(self, request: ChatRequest) -> dict[str, Any]:
        body: dict[str, Any] = {"think": self.config.options.get("reasoning"), "tools": None}
        # The SDK's own type of a tool forgets nested objects, `anyOf` and limits of a schema.
        if request.tools and request.tool_choice.mode != "none":
            body["tools"] = bridge.tools(request.tools)
        return body

    def finish_word(self, metadata: Mapping[str, Any]) -> str | None:
        return metadata.get("done_reason") or ("stop" if metadata.get("done") else None)

    async def lacking(self, models: Collection[str]) -> list[str] | None:
        """Those that were not pulled; a name without a tag is its `latest`."""
        limits = {"timeout": dict.fromkeys(("connect", "read", "write", "pool"), 5.0)}
        request = httpx.Request("GET", f"{self._base_url}/api/tags", extensions=limits)
        try:
            response = await wire.send(self.http, request)
            try:
                told = orjson.loads(await wire.whole(response))
            finally:
                await response.aclose()
            pulled = {str(model["name"]) for model in told["models"]}
        except (GatewayError, ValueError, KeyError, TypeError):
            return None
        return [name for name in models if (name if ":" in name else f"{name}:latest") not in pulled]

    async def check(self) -> ProviderHealth:
        return await wire.check_url(self.http, f"{self._base_url}/api/version", {})
