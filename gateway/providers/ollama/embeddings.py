"""Embeddings over Ollama's `/api/embed`."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import numpy as np
import orjson

from gateway.core.exceptions import UpstreamBroken
from gateway.domain.config.providers import ProviderConfig, Timeouts
from gateway.domain.embeddings import EmbeddingRequest, Embeddings
from gateway.providers.base import EmbeddingProvider
from gateway.providers.http import exchange
from gateway.providers.http.headers import auth_headers
from gateway.providers.token_counts import parse_count
from gateway.providers.vectors import plausible_token_count, truncate_and_normalize

_DEFAULT_BASE_URL = "http://localhost:11434"
_MAX_RESPONSE_BYTES = 256 * 1024 * 1024


class OllamaEmbeddings(EmbeddingProvider):
    """Embedding models of an Ollama server.

    A text beyond the context window is an error, not truncated.
    """

    type = "ollama"

    def __init__(
        self, name: str, config: ProviderConfig, timeouts: Timeouts, http: httpx.AsyncClient
    ) -> None:
        super().__init__(name, config, timeouts, http)
        self._url = f"{exchange.normalize_base_url(config.base_url, _DEFAULT_BASE_URL)}/api/embed"
        self._headers = {"content-type": "application/json", **auth_headers(config)}
        self._extensions = {"timeout": exchange.timeout_extension(timeouts)}

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
        response_body = await exchange.fetch_json(self.http, call, _MAX_RESPONSE_BYTES)
        # In a thread: the body may have megabytes of decimal numbers.
        return await asyncio.to_thread(_parse_response, response_body, request)


def _parse_response(body: bytes, request: EmbeddingRequest) -> Embeddings:
    try:
        parsed = orjson.loads(body)
        vectors = np.array(parsed["embeddings"], dtype=np.float32)
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError) as error:
        raise UpstreamBroken from error
    if vectors.ndim != 2 or vectors.shape[0] != len(request.texts) or not vectors.shape[1]:
        raise UpstreamBroken
    if not np.isfinite(vectors).all():
        raise UpstreamBroken
    tokens = plausible_token_count(parse_count(parsed.get("prompt_eval_count")), request.texts)
    # Older servers ignore `dimensions` and return the whole vector.
    return Embeddings(truncate_and_normalize(vectors, request.dimensions), tokens)
