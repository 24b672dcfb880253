"""Embeddings of OpenAI and of every server that speaks its `/embeddings`."""

from __future__ import annotations

import asyncio
import base64
import binascii
from typing import Any

import httpx
import numpy as np
import orjson

from gateway.core.exceptions import UpstreamBroken, UpstreamRejected
from gateway.domain.catalog import ProviderConfig, Timeouts
from gateway.domain.embeddings import EmbeddingRequest, Embeddings, Vectors
from gateway.providers.chat import wire
from gateway.providers.chat.openai import DEFAULT_BASE_URL
from gateway.providers.chat.openai_headers import headers_of
from gateway.providers.chat.token_counts import count
from gateway.providers.embedding.base import EmbeddingProvider, believed_tokens, shortened

_MAX_ANSWER = 256 * 1024 * 1024


class OpenAIEmbeddings(EmbeddingProvider):
    """`base_url` includes `/v1`; `options.headers` are sent with every call.

    Vectors are asked for in base64, a quarter of the bytes of decimal text, where the client wants that too:
    some servers refuse it. One that does is asked again without, and not for base64 any more.
    """

    type = "openai"
    takes_tokens = True

    def __init__(
        self, name: str, config: ProviderConfig, timeouts: Timeouts, http: httpx.AsyncClient
    ) -> None:
        super().__init__(name, config, timeouts, http)
        self._url = f"{wire.base_url_of(config.base_url, DEFAULT_BASE_URL)}/embeddings"
        self._headers = headers_of(config)
        self._extensions = {"timeout": wire.timeouts_of(timeouts)}
        # None until a call in base64 was answered or refused.
        self._has_base64: bool | None = None

    @property
    def configured(self) -> bool:
        return bool(self.config.api_key or self.config.base_url)

    async def embed(self, request: EmbeddingRequest) -> Embeddings:
        encoded = request.base64 and self._has_base64 is not False
        try:
            answer = await self._ask(request, encoded)
        except UpstreamRejected:
            if not encoded or self._has_base64:
                raise
            answer = await self._ask(request, False)
            self._has_base64 = False
        else:
            if encoded:
                self._has_base64 = True
        return await asyncio.to_thread(_read, answer, request)

    async def _ask(self, request: EmbeddingRequest, encoded: bool) -> bytes:
        inputs: list[Any] = list(request.tokens or request.texts)
        body: dict[str, Any] = {**request.extra, "model": request.model, "input": inputs}
        if encoded:
            body["encoding_format"] = "base64"
        if request.dimensions is not None:
            body["dimensions"] = request.dimensions
        call = httpx.Request(
            "POST",
            self._url,
            headers=self._headers,
            content=orjson.dumps(body),
            extensions=dict(self._extensions),
        )
        response = await wire.send(self.http, call)
        try:
            wire.expect_type(response, "json")
            return await wire.whole(response, _MAX_ANSWER)
        finally:
            await response.aclose()


def _read(answer: bytes, request: EmbeddingRequest) -> Embeddings:
    try:
        told = orjson.loads(answer)
        # Raises ValueError where they are not all of one length.
        vectors = np.stack([_vector(item["embedding"]) for item in _in_order(told["data"])])
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError, AttributeError, binascii.Error) as error:
        raise UpstreamBroken from error
    if vectors.ndim != 2 or vectors.shape[0] != request.count or not vectors.shape[1]:
        raise UpstreamBroken
    if not np.isfinite(vectors).all():
        raise UpstreamBroken
    usage = told.get("usage")
    tokens = count(usage.get("prompt_tokens")) if isinstance(usage, dict) else 0
    # Several servers ignore `dimensions` and give the whole vector.
    return Embeddings(
        shortened(vectors, request.dimensions), believed_tokens(tokens, request.texts, request.tokens)
    )


def _in_order(items: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The items in the order of the inputs: by their indexes, or as they are where no item has one."""
    places = [item.get("index") for item in items]
    if all(place is None for place in places):
        return items
    if sorted(place for place in places if type(place) is int) != list(range(len(items))):
        raise ValueError("the indexes are not those of the inputs")
    return sorted(items, key=lambda item: int(item["index"]))


def _vector(given: Any) -> Vectors:
    """Base64 of little-endian float32, or numbers from a server that knows nothing else."""
    if isinstance(given, str):
        return np.frombuffer(base64.b64decode(given, validate=True), dtype="<f4")
    return np.array(given, dtype=np.float32)
