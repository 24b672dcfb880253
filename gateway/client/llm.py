"""Clients for text: chats, roles, completions, embeddings."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from types import TracebackType
from typing import Any, Self

import httpx

from gateway.client import calls
from gateway.client.calls import Mode
from gateway.client.errors import GatewayClientError
from gateway.client.following import TurnFollower
from gateway.client.models import (
    Completion,
    Conversation,
    Embeddings,
    Generation,
    Model,
    TurnAnswer,
    TurnEvent,
)
from gateway.client.transport import AsyncTransport, SyncTransport, client_options

RESUME_SECONDS = 60.0


class LLMGatewayClient:
    """Blocking; use it as a context manager, or `close` it.

    Args:
        base_url: the gateway's address, without `/v1`; default `LLM_GATEWAY_URL`, else `http://127.0.0.1:8000`.
        api_key, token: a service's key or a person's access token; default the key `LLM_GATEWAY_API_KEY`.
        timeout: of one request, in seconds.
        max_retries: further tries where `x-should-retry` and the kind of failure allow them.
        http: a client of your own instead; its address, headers and time-outs are then yours too.

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
        """One turn, whole; `options` are the further fields of a turn (docs/API.md)."""
        body = {"conversation_id": conversation_id, "model": model, **options}
        return calls.read_turn(self._transport.request(calls.turn("/api/chat", message, body)))

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
        """One turn as typed events, the last one `Done`.

        A dropped connection is taken up again for `resume_seconds`; a turn that a restart of the gateway
        broke off is asked for once more unless `ask_again` is False, its text so far replaced.

        Raises:
            TurnEnded: the turn failed or was called off. ConnectionLost: it could not be taken up again.
        """
        body = {"conversation_id": conversation_id, "model": model, **options}
        first = calls.turn("/api/chat/stream", message, body)
        return self._follow(TurnFollower(first, resume_seconds=resume_seconds, ask_again=ask_again))

    def generate(
        self,
        role: str,
        payload: dict[str, Any] | str = "",
        *,
        task: str | None = None,
        mode: Mode | None = None,
    ) -> Generation:
        """What a role makes of `payload`."""
        return calls.read_generation(self._transport.request(calls.generate(role, payload, task, mode)))

    def complete(self, messages: list[dict[str, Any]], *, model: str = "auto", **options: Any) -> Completion:
        """One chat completion in OpenAI's dialect, kept nowhere."""
        return calls.read_completion(self._transport.request(calls.complete(messages, model, options)))

    def embed(self, texts: str | list[str], *, model: str, dimensions: int | None = None) -> Embeddings:
        return calls.read_embeddings(self._transport.request(calls.embed(texts, model, dimensions)))

    def models(self) -> list[Model]:
        return calls.read_models(self._transport.request(calls.MODELS))

    def conversation(self, conversation_id: str) -> Conversation:
        """A conversation with the messages of the branch being read (a person's token)."""
        return calls.read_conversation(self._transport.request(calls.conversation(conversation_id)))

    def cancel(self, message_id: str) -> None:
        """Call a running turn off; what it said is kept."""
        self._transport.request(calls.cancel(message_id))

    def close(self) -> None:
        self._transport.http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _follow(self, follower: TurnFollower) -> Iterator[TurnEvent]:
        while not follower.finished:
            cause: Exception | None = None
            try:
                response = self._transport.open(follower.call)
                try:
                    follower.begin()
                    for chunk in response.iter_raw():
                        yield from follower.feed(chunk)
                        if follower.finished or follower.wants_another:
                            break
                finally:
                    response.close()
            except httpx.TransportError as error:
                cause = error
            except GatewayClientError as error:
                if follower.finished:
                    raise
                cause = error
            if not follower.finished and (cause is not None or not follower.wants_another):
                time.sleep(follower.lost(cause))


class AsyncLLMGatewayClient:
    """The same, awaited; see `LLMGatewayClient`."""

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
        return calls.read_turn(await self._transport.request(calls.turn("/api/chat", message, body)))

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
        first = calls.turn("/api/chat/stream", message, body)
        return self._follow(TurnFollower(first, resume_seconds=resume_seconds, ask_again=ask_again))

    async def generate(
        self,
        role: str,
        payload: dict[str, Any] | str = "",
        *,
        task: str | None = None,
        mode: Mode | None = None,
    ) -> Generation:
        response = await self._transport.request(calls.generate(role, payload, task, mode))
        return calls.read_generation(response)

    async def complete(
        self, messages: list[dict[str, Any]], *, model: str = "auto", **options: Any
    ) -> Completion:
        return calls.read_completion(await self._transport.request(calls.complete(messages, model, options)))

    async def embed(self, texts: str | list[str], *, model: str, dimensions: int | None = None) -> Embeddings:
        return calls.read_embeddings(await self._transport.request(calls.embed(texts, model, dimensions)))

    async def models(self) -> list[Model]:
        return calls.read_models(await self._transport.request(calls.MODELS))

    async def conversation(self, conversation_id: str) -> Conversation:
        return calls.read_conversation(await self._transport.request(calls.conversation(conversation_id)))

    async def cancel(self, message_id: str) -> None:
        await self._transport.request(calls.cancel(message_id))

    async def aclose(self) -> None:
        await self._transport.http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def _follow(self, follower: TurnFollower) -> AsyncIterator[TurnEvent]:
        while not follower.finished:
            cause: Exception | None = None
            try:
                response = await self._transport.open(follower.call)
                try:
                    follower.begin()
                    async for chunk in response.aiter_raw():
                        for event in follower.feed(chunk):
                            yield event
                        if follower.finished or follower.wants_another:
                            break
                finally:
                    await response.aclose()
            except httpx.TransportError as error:
                cause = error
            except GatewayClientError as error:
                if follower.finished:
                    raise
                cause = error
            if not follower.finished and (cause is not None or not follower.wants_another):
                await asyncio.sleep(follower.lost(cause))
