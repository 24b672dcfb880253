"""Embeddings of OpenAI and of every server that speaks its `/embeddings`."""

from __future__ import annotations

import asyncio
import base64
import binascii
from typing import Any

import httpx
import numpy as np
import orjson

from gateway.core.exceptions import UpstreamBroken
from gateway.domain.catalog import ProviderConfig, Timeouts
from gateway.domain.embeddings import EmbeddingRequest, Embeddings, Vectors
from gateway.providers.chat import wire
from gateway.providers.chat.openai import DEFAULT_BASE_URL
from gateway.providers.chat.token_counts import count
from gateway.providers.embedding.base import EmbeddingProvider, believed_tokens

_MAX_ANSWER = 256 * 1024 * 1024


class OpenAIEmbeddings(EmbeddingProvider):
    """`base_url` includes `/v1`. Vectors are asked for in base64: a quarter of the bytes of decimal text."""

    type = "openai"

    def __init__(
        self, name: str, config: ProviderConfig, timeouts: Timeouts, http: httpx.AsyncClient
    ) -> None:
        super().__init__(name, config, timeouts, http)
        self._url = f"{wire.base_url_of(config.base_url, DEFAULT_BASE_URL)}/embeddings"
        self._headers = {"content-type": "application/json"}
        if config.api_key:
            self._headers["authorization"] = f"Bearer {config.api_key}"
        self._extensions = {"timeout": wire.timeouts_of(timeouts)}

    @property
    def configured(self) -> bool:
        return bool(self.config.api_key or self.config.base_url)

    async def embed(self, request: EmbeddingRequest) -> Embeddings:
        body: dict[str, Any] = {
            "model": request.model,
            "input": list(request.texts),
            "encoding_format": "base64",
        }
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
            answer = await wire.whole(response, _MAX_ANSWER)
        finally:
            await response.aclose()
        return await asyncio.to_thread(_read, answer, request)


def _read(answer: bytes, request: EmbeddingRequest) -> Embeddings:
    try:
        told = orjson.loads(answer)
        items = sorted(told["data"], key=lambda item: item["index"])
        # Raises ValueError where they are not all of one length.
        vectors = np.stack([_vector(item["embedding"]) for item in items])
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError, binascii.Error) as error:
        raise UpstreamBroken from error
    if vectors.ndim != 2 or vectors.shape[0] != len(request.texts) or not vectors.shape[1]:
        raise UpstreamBroken
    if not np.isfinite(vectors).all():
        raise UpstreamBroken
    usage = told.get("usage")
    tokens = count(usage.get("prompt_tokens")) if isinstance(usage, dict) else 0
    return Embeddings(vectors, believed_tokens(tokens, request.texts))


def _vector(given: Any) -> Vectors:
    """Base64 of little-endian float32, or numbers from a server that knows nothing else."""
    if isinstance(given, str):
        return np.frombuffer(base64.b64decode(given, validate=True), dtype="<f4")
    return np.array(given, dtype=np.float32)
