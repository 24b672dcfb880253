"""What the providers on LangChain's packages share: lazy models, one call, the vendor's errors made ours."""

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
from gateway.domain.catalog import ProviderConfig, Timeouts
from gateway.domain.chat import ChatRequest
from gateway.domain.events import Completed, FinishReason, ProviderEvent, ToolCallDelta
from gateway.domain.messages import VendorData
from gateway.providers.chat import langchain_bridge as bridge
from gateway.providers.chat import wire
from gateway.providers.chat.base import ChatProvider
from gateway.providers.chat.finish import FAILED, finish_of
from gateway.providers.chat.guard import GuardedCall, GuardedExchange, VendorMarks, current_call, named_error
from gateway.providers.chat.openai_extras import refuse_extras
from gateway.providers.chat.openai_headers import own_headers
from gateway.providers.chat.vendor_data import given_back

log = structlog.get_logger(__name__)

_NOT_SENT = (
    "The gateway could not write this request for the model's provider; nothing was sent. Ask another model,"
    " or report the request id to the operator."
)
# The messages are written into the body by the provider itself; an SDK has to be given some.
_IN_THE_BODY = [HumanMessage("-")]


class LangChainProvider(ChatProvider):
    """Base of a vendor on a LangChain chat model.

    The model object is built once for each model name, at its first use and in a thread: importing a
    vendor's SDK takes up to a second, which no other stream shall feel. All share one guarded client.
    """

    marks: ClassVar[VendorMarks]
    # Whether the vendor takes a budget of tokens to think for.
    thinks: ClassVar[bool] = False

    def __init__(
        self, name: str, config: ProviderConfig, timeouts: Timeouts, http: httpx.AsyncClient
    ) -> None:
        super().__init__(name, config, timeouts, http)
        wire.check_header("authorization", config.api_key or "")
        self.guard = GuardedExchange(http, timeouts, self.marks, own_headers(config))
        self._models: dict[str, BaseChatModel] = {}
        self._building = asyncio.Lock()

    @abstractmethod
    def build(self, model: str) -> BaseChatModel:
        """The vendor's chat model, its client guarded and its own retries off; runs in a thread."""

    @abstractmethod
    def arguments(self, request: ChatRequest) -> dict[str, Any]:
        """Keyword arguments of `astream` and `ainvoke` for this request.

        Raises:
            UnsupportedParameter: the vendor cannot do what is asked.
        """

    @abstractmethod
    def call(self, request: ChatRequest) -> GuardedCall:
        """The call, with all fields of the vendor's JSON body that its SDK would lose, bend or refuse.

        Messages and tools are among them.
        """

    @abstractmethod
    def finish_word(self, metadata: Mapping[str, Any], call: GuardedCall) -> str | None:
        """The vendor's finish reason, from LangChain's response metadata or from what was recorded."""

    def extra_of(self, call: GuardedCall, index: int) -> Mapping[str, Any]:
        """Further fields of OpenAI's tool call for the call of this number."""
        return {}

    def wanted_back(self, call: GuardedCall, reasoning: str) -> VendorData | None:
        """What the vendor wants back with the answer, its origin still left out."""
        return None

    def refusal(self, request: ChatRequest) -> UnsupportedParameter | None:
        try:
            refuse_extras(request.extra, thinks=self.thinks)
            self.arguments(request)
            self.call(request)
        except UnsupportedParameter as error:
            return error
        return None

    async def stream(self, request: ChatRequest) -> AsyncGenerator[ProviderEvent, None]:
        refuse_extras(request.extra, thinks=self.thinks)
        messages = given_back(request.messages, self.type, self.name, request.model, one_vendor=True)
        if messages is not request.messages:
            request = replace(request, messages=messages)
        arguments = self.arguments(request)
        call = self.call(request)
        model = self._models.get(request.model) or await self._first_use(request.model)
        reader = bridge.ChunkReader()
        try:
            async with aclosing(self._answer(model, request.incremental, arguments, call)) as answer:
                async for message in answer:
                    for event in reader.read(message):
                        yield self._with_extra(event, call)
            finish = finish_of(self.finish_word(reader.metadata, call))
            if finish is None or finish == FAILED or reader.calls.unnamed:
                raise UpstreamBroken
        except UpstreamError as error:
            error.counted = call.counts.usage
            raise
        finally:
            await call.aclose()
        for event in reader.rest():
            yield event
        vendor = self.wanted_back(call, reader.reasoning)
        if vendor is not None:
            vendor = replace(vendor, type=self.type, provider=self.name, model=request.model)
        finish = "tool_calls" if finish == "stop" and len(reader.calls) else finish
        yield Completed(cast("FinishReason", finish), call.counts.usage, vendor, call.response)

    def _with_extra(self, event: ProviderEvent, call: GuardedCall) -> ProviderEvent:
        if isinstance(event, ToolCallDelta) and event.id and (extra := self.extra_of(call, event.index)):
            return replace(event, extra=extra)
        return event

    @staticmethod
    async def _answer(
        model: BaseChatModel,
        incremental: bool,
        arguments: dict[str, Any],
        call: GuardedCall,
    ) -> AsyncGenerator[AIMessage, None]:
        """LangChain's chunks, or its one message; every failure a named error."""
        current_call.set(call)
        try:
            if not incremental:
                yield await model.ainvoke(_IN_THE_BODY, **arguments)
                return
            async for chunk in model.astream(_IN_THE_BODY, **arguments):
                yield chunk
        except GatewayError:
            raise
        except Exception as error:
            # SDKs wrap what the guard raises, and have types of their own for what they cannot send or read.
            named = named_error(error)
            if named is not None:
                raise named from error
            if call.exchanges:
                raise UpstreamBroken from error
            # Nothing was sent: neither the vendor nor the caller has refused anything.
            log.error("provider.request_not_sent", error=type(error).__name__, exc_info=True)
            raise UpstreamError(_NOT_SENT) from error

    async def _first_use(self, model: str) -> BaseChatModel:
        async with self._building:
            if model not in self._models:
                try:
                    self._models[model] = await asyncio.to_thread(self.build, model)
                except (ValueError, TypeError) as error:
                    raise UpstreamUnavailable(
                        "The model's provider is not configured properly; an operator has to mend it."
                    ) from error
            return self._models[model]


def trusting_nobody() -> ssl.SSLContext:
    """For the clients that SDKs make and we never use: no certificates to load, and no way to connect."""
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
