"""Embeddings of Ollama, by its `/api/embed`."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import numpy as np
import orjson

from gateway.core.exceptions import UpstreamBroken
from gateway.domain.catalog import ProviderConfig, Timeouts
from gateway.domain.embeddings import EmbeddingRequest, Embeddings
from gateway.providers.chat import wire
from gateway.providers.chat.openai_headers import bearer_headers
from gateway.providers.chat.token_counts import count
from gateway.providers.embedding.base import EmbeddingProvider, believed_tokens, shortened

_DEFAULT_BASE_URL = "http://localhost:11434"
_MAX_ANSWER = 256 * 1024 * 1024


class OllamaEmbeddings(EmbeddingProvider):
    """A text longer than the model's window is an error here, never cut in silence."""

    type = "ollama"

    def __init__(
        self, name: str, config: ProviderConfig, timeouts: Timeouts, http: httpx.AsyncClient
    ) -> None:
        super().__init__(name, config, timeouts, http)
        self._url = f"{wire.base_url_of(config.base_url, _DEFAULT_BASE_URL)}/api/embed"
        self._headers = {"content-type": "application/json", **bearer_headers(config)}
        self._extensions = {"timeout": wire.timeouts_of(timeouts)}

    async def embed(self, request: EmbeddingRequest) -> Embeddings:
        body: dict[str, Any] = {"model": request.model, "input": list(request.texts), "truncate": False}
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
        return await asyncio.to_thread(_read, answer, request)  # megabytes of decimal numbers


def _read(answer: bytes, request: EmbeddingRequest) -> Embeddings:
    try:
        told = orjson.loads(answer)
        vectors = np.array(told["embeddings"], dtype=np.float32)
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError) as error:
        raise UpstreamBroken from error
    if vectors.ndim != 2 or vectors.shape[0] != len(request.texts) or not vectors.shape[1]:
        raise UpstreamBroken
    if not np.isfinite(vectors).all():
        raise UpstreamBroken
    tokens = believed_tokens(count(told.get("prompt_eval_count")), request.texts)
    # Servers from before the field existed give the whole vector.
    return Embeddings(shortened(vectors, request.dimensions), tokens)
