"""Base class of the chat providers that use a LangChain package."""

from __future__ import annotations

import asyncio
import ssl
from abc import abstractmethod
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import replace
from typing import Any, ClassVar, cast

import httpx
import structlog
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, HumanMessage

from gateway.core.exceptions import (
    GatewayError,
    UnsupportedParameter,
    UpstreamBroken,
    UpstreamError,
    UpstreamUnavailable,
)
from gateway.domain.config.providers import ProviderConfig, Timeouts
from gateway.domain.events import Completed, FinishReason, ProviderEvent, ToolCallDelta
from gateway.domain.messages import VendorData
from gateway.domain.requests import ChatRequest
from gateway.providers.base import ChatProvider
from gateway.providers.finish_reason import FAILED, parse_finish_reason
from gateway.providers.http import exchange
from gateway.providers.http.headers import configured_headers
from gateway.providers.langchain import messages as bridge
from gateway.providers.langchain.stream_guard import (
    CallScope,
    StreamGuard,
    StreamProtocol,
    current_call,
    find_gateway_error,
)
from gateway.providers.request_params import reject_openai_params
from gateway.providers.vendor_data import filter_vendor_data

log = structlog.get_logger(__name__)

_REQUEST_NOT_SENT = (
    "The gateway could not encode this request for the model's provider; nothing was sent. Use another model,"
    " or report the request id to the operator."
)
# The provider writes the messages into the body itself, but an SDK requires some.
_PLACEHOLDER_MESSAGES = [HumanMessage("-")]


class LangChainChatProvider(ChatProvider):
    """A chat provider on a LangChain chat model.

    The model object is built once per model name, at its first use and in a thread: importing a vendor's SDK
    takes up to a second, which would delay all other streams. All models share one guarded client.
    """

    protocol: ClassVar[StreamProtocol]
    # Whether the vendor accepts a token budget for thinking.
    supports_thinking: ClassVar[bool] = False

    def __init__(
        self, name: str, config: ProviderConfig, timeouts: Timeouts, http: httpx.AsyncClient
    ) -> None:
        super().__init__(name, config, timeouts, http)
        exchange.validate_header("authorization", config.api_key or "")
        self.guard = StreamGuard(http, timeouts, self.protocol, configured_headers(config))
        self._models: dict[str, BaseChatModel] = {}
        self._build_lock = asyncio.Lock()

    @abstractmethod
    def build_model(self, model: str) -> BaseChatModel:
        """Create the LangChain model with a guarded client and without retries.

        It is called in a thread.
        """

    @abstractmethod
    def call_arguments(self, request: ChatRequest) -> dict[str, Any]:
        """Return the keyword arguments of `astream` and `ainvoke` for this request.

        Raises:
            UnsupportedParameter: the vendor does not support a parameter.
        """

    @abstractmethod
    def start_call(self, request: ChatRequest) -> CallScope:
        """Return the scope of a call, with all body fields that the SDK would drop, change or reject.

        Messages and tools are among them.
        """

    @abstractmethod
    def raw_finish_reason(self, metadata: Mapping[str, Any], call: CallScope) -> str | None:
        """Return the vendor's finish reason, from LangChain's metadata or from the recorder."""

    def tool_call_extra(self, call: CallScope, index: int) -> Mapping[str, Any]:
        """Return extra fields for the tool call with this index."""
        return {}

    def vendor_data(self, call: CallScope, reasoning: str) -> VendorData | None:
        """Return what must be sent back to the vendor with this answer, without its origin."""
        return None

    def find_unsupported(self, request: ChatRequest) -> UnsupportedParameter | None:
        try:
            reject_openai_params(request.extra, supports_thinking=self.supports_thinking)
            self.call_arguments(request)
            self.start_call(request)
        except UnsupportedParameter as error:
            return error
        return None

    async def stream(self, request: ChatRequest) -> AsyncGenerator[ProviderEvent, None]:
        reject_openai_params(request.extra, supports_thinking=self.supports_thinking)
        messages = filter_vendor_data(
            request.messages, self.type, self.name, request.model, single_vendor=True
        )
        if messages is not request.messages:
            request = replace(request, messages=messages)
        arguments = self.call_arguments(request)
        call = self.start_call(request)
        model = self._models.get(request.model) or await self._build_once(request.model)
        converter = bridge.ChunkConverter()
        try:
            async with aclosing(self._run_model(model, request.stream, arguments, call)) as chunks:
                async for message in chunks:
                    for event in converter.convert(message):
                        yield self._with_extra(event, call)
            finish = parse_finish_reason(self.raw_finish_reason(converter.metadata, call))
            if finish is None or finish == FAILED or converter.tool_calls.has_unnamed_call:
                raise UpstreamBroken
        except UpstreamError as error:
            error.usage = call.token_counts.usage
            raise
        finally:
            await call.aclose()
        for event in converter.finish():
            yield event
        vendor = self.vendor_data(call, converter.reasoning)
        if vendor is not None:
            vendor = replace(vendor, type=self.type, provider=self.name, model=request.model)
        finish = "tool_calls" if finish == "stop" and len(converter.tool_calls) else finish
        yield Completed(cast("FinishReason", finish), call.token_counts.usage, vendor, call.vendor_response)

    def _with_extra(self, event: ProviderEvent, call: CallScope) -> ProviderEvent:
        if (
            isinstance(event, ToolCallDelta)
            and event.id
            and (extra := self.tool_call_extra(call, event.index))
        ):
            return replace(event, extra=extra)
        return event

    @staticmethod
    async def _run_model(
        model: BaseChatModel,
        stream: bool,
        arguments: dict[str, Any],
        call: CallScope,
    ) -> AsyncGenerator[AIMessage, None]:
        """Yield LangChain's chunks, or its one message.

        Every failure becomes a gateway error.
        """
        current_call.set(call)
        try:
            if not stream:
                yield await model.ainvoke(_PLACEHOLDER_MESSAGES, **arguments)
                return
            async for chunk in model.astream(_PLACEHOLDER_MESSAGES, **arguments):
                yield chunk
        except GatewayError:
            raise
        except Exception as error:
            # SDKs wrap the guard's errors, and raise their own for what they cannot encode or parse.
            gateway_error = find_gateway_error(error)
            if gateway_error is not None:
                raise gateway_error from error
            if call.responses:
                raise UpstreamBroken from error
            # Nothing was sent: neither the vendor nor the request is at fault.
            log.error("provider.request_not_sent", error=type(error).__name__, exc_info=True)
            raise UpstreamError(_REQUEST_NOT_SENT) from error

    async def _build_once(self, model: str) -> BaseChatModel:
        async with self._build_lock:
            if model not in self._models:
                try:
                    self._models[model] = await asyncio.to_thread(self.build_model, model)
                except (ValueError, TypeError) as error:
                    raise UpstreamUnavailable(
                        "The model's provider is misconfigured. Ask an administrator to check its options."
                    ) from error
            return self._models[model]


def no_trust_context() -> ssl.SSLContext:
    """Return a context without certificates, for the clients that SDKs create and that are never used."""
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
