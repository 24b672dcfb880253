"""Embeddings over OpenAI's `/embeddings`, also of compatible servers."""

from __future__ import annotations

import asyncio
import base64
import binascii
from typing import Any

import httpx
import numpy as np
import orjson

from gateway.core.exceptions import UpstreamBroken, UpstreamRejected
from gateway.domain.config.providers import ProviderConfig, Timeouts
from gateway.domain.embeddings import EmbeddingRequest, Embeddings, Vectors
from gateway.providers.base import EmbeddingProvider
from gateway.providers.http import exchange
from gateway.providers.openai.endpoint import OpenAIEndpoint
from gateway.providers.token_counts import parse_count
from gateway.providers.vectors import plausible_token_count, truncate_and_normalize

_MAX_RESPONSE_BYTES = 256 * 1024 * 1024


class OpenAIEmbeddings(OpenAIEndpoint, EmbeddingProvider):
    """Embedding models of OpenAI and of OpenAI-compatible servers.

    `options.headers` are sent with every call. If the client requests base64, so
    does the gateway, since it takes a quarter of the bytes of decimal text. A server that rejects base64 is
    asked again without it, and never again with it.
    """

    path = "/embeddings"
    accepts_tokens = True

    def __init__(
        self, name: str, config: ProviderConfig, timeouts: Timeouts, http: httpx.AsyncClient
    ) -> None:
        super().__init__(name, config, timeouts, http)
        # None until a call with base64 succeeded or was rejected.
        self._base64_supported: bool | None = None

    async def embed(self, request: EmbeddingRequest) -> Embeddings:
        as_base64 = request.as_base64 and self._base64_supported is not False
        try:
            body = await self._send(request, as_base64)
        except UpstreamRejected:
            if not as_base64 or self._base64_supported:
                raise
            body = await self._send(request, False)
            self._base64_supported = False
        else:
            if as_base64:
                self._base64_supported = True
        return await asyncio.to_thread(_parse_response, body, request)

    async def _send(self, request: EmbeddingRequest, as_base64: bool) -> bytes:
        inputs: list[Any] = list(request.tokens or request.texts)
        body: dict[str, Any] = {**request.extra, "model": request.model, "input": inputs}
        if as_base64:
            body["encoding_format"] = "base64"
        if request.dimensions is not None:
            body["dimensions"] = request.dimensions
        return await exchange.fetch_json(self.http, self._request(orjson.dumps(body)), _MAX_RESPONSE_BYTES)


def _parse_response(body: bytes, request: EmbeddingRequest) -> Embeddings:
    try:
        parsed = orjson.loads(body)
        # Raises ValueError if the vectors differ in length.
        vectors = np.stack([_decode_vector(item["embedding"]) for item in _sort_by_index(parsed["data"])])
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError, AttributeError, binascii.Error) as error:
        raise UpstreamBroken from error
    if vectors.ndim != 2 or vectors.shape[0] != request.count or not vectors.shape[1]:
        raise UpstreamBroken
    if not np.isfinite(vectors).all():
        raise UpstreamBroken
    usage = parsed.get("usage")
    tokens = parse_count(usage.get("prompt_tokens")) if isinstance(usage, dict) else 0
    # Several servers ignore `dimensions` and return the whole vector.
    return Embeddings(
        truncate_and_normalize(vectors, request.dimensions),
        plausible_token_count(tokens, request.texts, request.tokens),
    )


def _sort_by_index(items: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the items in the order of the inputs.

    They are sorted by index, or unchanged if no item has one.
    """
    indexes = [item.get("index") for item in items]
    if all(index is None for index in indexes):
        return items
    if sorted(index for index in indexes if type(index) is int) != list(range(len(items))):
        raise ValueError("the indexes do not match the inputs")
    return sorted(items, key=lambda item: int(item["index"]))


def _decode_vector(raw: Any) -> Vectors:
    """Decode base64 of little-endian float32, or a list of numbers."""
    if isinstance(raw, str):
        return np.frombuffer(base64.b64decode(raw, validate=True), dtype="<f4")
    return np.array(raw, dtype=np.float32)
