"""Clients for text: chats, roles, completions, embeddings."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from types import TracebackType
from typing import Any, Self

import httpx

from gateway.client import requests
from gateway.client.errors import GatewayClientError
from gateway.client.models import (
    Completion,
    Conversation,
    Embeddings,
    Generation,
    Model,
    TurnAnswer,
    TurnEvent,
)
from gateway.client.requests import Mode
from gateway.client.resumable_stream import ResumableStream
from gateway.client.transport import AsyncTransport, SyncTransport, client_options

RESUME_SECONDS = 60.0


class LLMGatewayClient:
    """Synchronous client; use it as a context manager, or `close` it.

    Args:
        base_url: the gateway's address, without `/v1`; default `LLM_GATEWAY_URL`, else
            `http://127.0.0.1:8000`.
        api_key, token: an API key or an access token; default is the key in `LLM_GATEWAY_API_KEY`.
        timeout: seconds per request.
        max_retries: retries, if `x-should-retry` and the kind of failure allow them.
        http: a client of your own; its address, headers and timeouts are then used instead.

    Every method raises `GatewayClientError` (see `gateway.client.errors`).
    """

    def __init__(
        self,
        base_url: str | None = None,
        *,
        api_key: str | None = None,
        token: str | None = None,
        timeout: float | httpx.Timeout | None = None,
        max_retries: int = 2,
        http: httpx.Client | None = None,
    ) -> None:
        client = http or httpx.Client(**client_options(base_url, api_key, token, timeout))
        self._transport = SyncTransport(client, max_retries)

    def chat(
        self, message: str, *, conversation_id: str | None = None, model: str | None = None, **options: Any
    ) -> TurnAnswer:
        """Run one turn and return the complete answer.

        `options` are further fields of a turn (docs/API.md).
        """
        body = {"conversation_id": conversation_id, "model": model, **options}
        return requests.read_turn(self._transport.request(requests.turn("/api/chat", message, body)))

    def stream_chat(
        self,
        message: str,
        *,
        conversation_id: str | None = None,
        model: str | None = None,
        resume_seconds: float = RESUME_SECONDS,
        ask_again: bool = True,
        **options: Any,
    ) -> Iterator[TurnEvent]:
        """Run one turn and yield typed events; the last one is `Done`.

        A dropped connection is resumed for up to `resume_seconds`. A turn that a restart of the gateway
        interrupted is regenerated once unless `ask_again` is False; its text so far is then replaced.

        Raises:
            TurnEnded: the turn failed or was cancelled.
            ConnectionLost: the stream could not be resumed.
        """
        body = {"conversation_id": conversation_id, "model": model, **options}
        first = requests.turn("/api/chat/stream", message, body)
        return self._stream_events(ResumableStream(first, resume_seconds=resume_seconds, ask_again=ask_again))

    def generate(
        self,
        role: str,
        payload: dict[str, Any] | str = "",
        *,
        task: str | None = None,
        mode: Mode | None = None,
    ) -> Generation:
        """Run a role on `payload`."""
        return requests.read_generation(self._transport.request(requests.generate(role, payload, task, mode)))

    def complete(self, messages: list[dict[str, Any]], *, model: str = "auto", **options: Any) -> Completion:
        """Run one OpenAI-compatible chat completion, which is not stored."""
        return requests.read_completion(self._transport.request(requests.complete(messages, model, options)))

    def embed(self, texts: str | list[str], *, model: str, dimensions: int | None = None) -> Embeddings:
        return requests.read_embeddings(self._transport.request(requests.embed(texts, model, dimensions)))

    def models(self) -> list[Model]:
        return requests.read_models(self._transport.request(requests.MODELS))

    def conversation(self, conversation_id: str) -> Conversation:
        """Return a conversation and its selected branch (access token only)."""
        return requests.read_conversation(self._transport.request(requests.conversation(conversation_id)))

    def cancel(self, message_id: str) -> None:
        """Cancel a running turn; its partial answer is stored."""
        self._transport.request(requests.cancel(message_id))

    def close(self) -> None:
        self._transport.http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _stream_events(self, stream: ResumableStream) -> Iterator[TurnEvent]:
        while not stream.finished:
            cause: Exception | None = None
            try:
                response = self._transport.open(stream.call)
                try:
                    stream.on_connected()
                    for chunk in response.iter_raw():
                        yield from stream.feed(chunk)
                        if stream.finished or stream.needs_reconnect:
                            break
                finally:
                    response.close()
            except httpx.TransportError as error:
                cause = error
            except GatewayClientError as error:
                if stream.finished:
                    raise
                cause = error
            if not stream.finished and (cause is not None or not stream.needs_reconnect):
                time.sleep(stream.on_connection_lost(cause))


class AsyncLLMGatewayClient:
    """Asynchronous client with the same methods; see `LLMGatewayClient`."""

    def __init__(
        self,
        base_url: str | None = None,
        *,
        api_key: str | None = None,
        token: str | None = None,
        timeout: float | httpx.Timeout | None = None,
        max_retries: int = 2,
        http: httpx.AsyncClient | None = None,
    ) -> None:
        client = http or httpx.AsyncClient(**client_options(base_url, api_key, token, timeout))
        self._transport = AsyncTransport(client, max_retries)

    async def chat(
        self, message: str, *, conversation_id: str | None = None, model: str | None = None, **options: Any
    ) -> TurnAnswer:
        body = {"conversation_id": conversation_id, "model": model, **options}
        return requests.read_turn(await self._transport.request(requests.turn("/api/chat", message, body)))

    def stream_chat(
        self,
        message: str,
        *,
        conversation_id: str | None = None,
        model: str | None = None,
        resume_seconds: float = RESUME_SECONDS,
        ask_again: bool = True,
        **options: Any,
    ) -> AsyncIterator[TurnEvent]:
        body = {"conversation_id": conversation_id, "model": model, **options}
        first = requests.turn("/api/chat/stream", message, body)
        return self._stream_events(ResumableStream(first, resume_seconds=resume_seconds, ask_again=ask_again))

    async def generate(
        self,
        role: str,
        payload: dict[str, Any] | str = "",
        *,
        task: str | None = None,
        mode: Mode | None = None,
    ) -> Generation:
        response = await self._transport.request(requests.generate(role, payload, task, mode))
        return requests.read_generation(response)

    async def complete(
        self, messages: list[dict[str, Any]], *, model: str = "auto", **options: Any
    ) -> Completion:
        return requests.read_completion(
            await self._transport.request(requests.complete(messages, model, options))
        )

    async def embed(self, texts: str | list[str], *, model: str, dimensions: int | None = None) -> Embeddings:
        return requests.read_embeddings(
            await self._transport.request(requests.embed(texts, model, dimensions))
        )

    async def models(self) -> list[Model]:
        return requests.read_models(await self._transport.request(requests.MODELS))

    async def conversation(self, conversation_id: str) -> Conversation:
        return requests.read_conversation(
            await self._transport.request(requests.conversation(conversation_id))
        )

    async def cancel(self, message_id: str) -> None:
        await self._transport.request(requests.cancel(message_id))

    async def aclose(self) -> None:
        await self._transport.http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def _stream_events(self, stream: ResumableStream) -> AsyncIterator[TurnEvent]:
        while not stream.finished:
            cause: Exception | None = None
            try:
                response = await self._transport.open(stream.call)
                try:
                    stream.on_connected()
                    async for chunk in response.aiter_raw():
                        for event in stream.feed(chunk):
                            yield event
                        if stream.finished or stream.needs_reconnect:
                            break
                finally:
                    await response.aclose()
            except httpx.TransportError as error:
                cause = error
            except GatewayClientError as error:
                if stream.finished:
                    raise
                cause = error
            if not stream.finished and (cause is not None or not stream.needs_reconnect):
                await asyncio.sleep(stream.on_connection_lost(cause))
