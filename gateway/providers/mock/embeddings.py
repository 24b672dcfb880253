"""Deterministic embeddings without a model, and failures on demand."""

from __future__ import annotations

import asyncio
import zlib

import numpy as np

from gateway.core.exceptions import UnsupportedParameter, UpstreamUnavailable
from gateway.domain.embeddings import EmbeddingRequest, Embeddings, Vectors
from gateway.domain.money import estimate_tokens
from gateway.providers.base import EmbeddingProvider

_DIMENSIONS = 384
_MAX_DIMENSIONS = 4096


class MockEmbeddings(EmbeddingProvider):
    """Random unit vectors, seeded by the text; a model called `fail` fails."""

    type = "mock"

    async def embed(self, request: EmbeddingRequest) -> Embeddings:
        if request.model == "fail":
            raise UpstreamUnavailable
        length = request.dimensions or _DIMENSIONS
        if length > _MAX_DIMENSIONS:
            raise UnsupportedParameter(
                f"This model's vectors have at most {_MAX_DIMENSIONS} dimensions.", param="dimensions"
            )
        vectors = await asyncio.to_thread(_vectors, request.texts, length)
        return Embeddings(vectors, sum(map(estimate_tokens, request.texts)))


def _vectors(texts: tuple[str, ...], length: int) -> Vectors:
    vectors = np.empty((len(texts), length), dtype=np.float32)
    for row, text in enumerate(texts):
        seed = zlib.crc32(text.encode("utf-8", "surrogatepass"))
        vector = np.random.default_rng(seed).standard_normal(length, dtype=np.float32)
        vectors[row] = vector / np.linalg.norm(vector)
    return vectors
