"""What the providers on LangChain's packages share: lazy models, one call, the vendor's errors made ours."""

from __future__ import annotations

import asyncio
import ssl
from abc import abstractmethod
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Any, ClassVar

import httpx
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage

from gateway.core.exceptions import (
    GatewayError,
    UnsupportedParameter,
    UpstreamBroken,
    UpstreamRejected,
    UpstreamUnavailable,
)
from gateway.domain.catalog import ProviderConfig, Timeouts
from gateway.domain.chat import ChatRequest
from gateway.domain.events import Completed, FinishReason, ProviderEvent
from gateway.providers.chat import langchain_bridge as bridge
from gateway.providers.chat import wire
from gateway.providers.chat.base import ChatProvider
from gateway.providers.chat.guard import GuardedCall, GuardedExchange, VendorMarks, current_call, named_error
from gateway.providers.chat.openai_extras import refuse_extras


class LangChainProvider(ChatProvider):
    """Base of a vendor on a LangChain chat model.

    The model object is built once for each model name, at its first use and in a thread: importing a
    vendor's SDK takes up to a second, which no other stream shall feel. All share one guarded client.
    """

    marks: ClassVar[VendorMarks]
    finish_reasons: ClassVar[Mapping[str, FinishReason]]
    failed_reasons: ClassVar[frozenset[str]] = frozenset()
    one_system_message: ClassVar[bool] = False

    def __init__(
        self, name: str, config: ProviderConfig, timeouts: Timeouts, http: httpx.AsyncClient
    ) -> None:
        super().__init__(name, config, timeouts, http)
        wire.check_header("authorization", config.api_key or "")
        self.guard = GuardedExchange(http, timeouts, self.marks)
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
    def finish_word(self, metadata: Mapping[str, Any]) -> str | None:
        """The vendor's finish reason in LangChain's response metadata."""

    def body(self, request: ChatRequest) -> dict[str, Any]:
        """Fields of the vendor's JSON body that its SDK would lose or bend."""
        return {}

    def refusal(self, request: ChatRequest) -> UnsupportedParameter | None:
        try:
            refuse_extras(request.extra)
            self.arguments(request)
            bridge.messages(request, self.one_system_message)
        except UnsupportedParameter as error:
            return error
        return None

    async def stream(self, request: ChatRequest) -> AsyncGenerator[ProviderEvent, None]:
        refuse_extras(request.extra)
        arguments = self.arguments(request)
        history = bridge.messages(request, self.one_system_message)
        model = self._models.get(request.model) or await self._first_use(request.model)
        reader = bridge.ChunkReader()
        call = GuardedCall(self.body(request))
        try:
            async with aclosing(self._answer(model, history, request.incremental, arguments, call)) as answer:
                async for message in answer:
                    for event in reader.read(message):
                        yield event
        finally:
            await call.aclose()
        word = self.finish_word(reader.metadata)
        if word is None or word in self.failed_reasons or reader.calls.unnamed:
            raise UpstreamBroken
        finish = self.finish_reasons.get(word, "stop")
        yield Completed("tool_calls" if finish == "stop" and len(reader.calls) else finish, call.counts.usage)

    @staticmethod
    async def _answer(
        model: BaseChatModel,
        history: list[BaseMessage],
        incremental: bool,
        arguments: dict[str, Any],
        call: GuardedCall,
    ) -> AsyncGenerator[AIMessage, None]:
        """LangChain's chunks, or its one message; every failure a named error."""
        current_call.set(call)
        try:
            if not incremental:
                yield await model.ainvoke(history, **arguments)
                return
            async for chunk in model.astream(history, **arguments):
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
            raise UpstreamRejected from error  # nothing was sent: the SDK found fault with the request

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
