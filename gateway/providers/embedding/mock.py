"""Vectors without a model: the same text always gets the same one, and a drill fails on demand."""

from __future__ import annotations

import zlib

import numpy as np

from gateway.core.exceptions import UpstreamUnavailable
from gateway.domain.embeddings import EmbeddingRequest, Embeddings
from gateway.domain.usage import estimate_tokens
from gateway.providers.embedding.base import EmbeddingProvider

_DIMENSIONS = 384


class MockEmbeddings(EmbeddingProvider):
    """Random directions of length 1, seeded by the text; a model called `fail` fails."""

    type = "mock"

    async def embed(self, request: EmbeddingRequest) -> Embeddings:
        if request.model == "fail":
            raise UpstreamUnavailable
        length = request.dimensions or _DIMENSIONS
        vectors = tuple(_vector(text, length) for text in request.texts)
        return Embeddings(vectors, sum(map(estimate_tokens, request.texts)))


def _vector(text: str, length: int) -> list[float]:
    seed = zlib.crc32(text.encode("utf-8", "surrogatepass"))
    drawn = np.random.default_rng(seed).standard_normal(length)
    vector: list[float] = (drawn / np.linalg.norm(drawn)).tolist()
    return vector
