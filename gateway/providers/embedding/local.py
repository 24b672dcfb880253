"""Embeddings on this machine, without a server: the `wordllama` table."""

from __future__ import annotations

import asyncio
from functools import cache

import numpy as np

from gateway.core.exceptions import UnsupportedParameter
from gateway.domain.embeddings import EmbeddingRequest, Embeddings
from gateway.providers.embedding.base import EmbeddingProvider
from gateway.providers.embedding.wordllama import DIMENSIONS, WordLlamaEmbedder


class LocalEmbeddings(EmbeddingProvider):
    """256 dimensions, of which the first 64 or 128 alone are a vector too; the model's name is free."""

    type = "local"

    async def embed(self, request: EmbeddingRequest) -> Embeddings:
        dimensions = request.dimensions or DIMENSIONS
        if dimensions > DIMENSIONS:
            raise UnsupportedParameter(
                f"This model's vectors have {DIMENSIONS} dimensions.", param="dimensions"
            )
        # A batch of long texts takes tens of milliseconds, which is too long for the event loop.
        return await asyncio.to_thread(_embed, request.texts, dimensions)


def _embed(texts: tuple[str, ...], dimensions: int) -> Embeddings:
    embedder = _shared()
    vectors = embedder.embed(texts)[:, :dimensions].astype(np.float64)
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    vectors = vectors / np.where(norms == 0, 1, norms)
    return Embeddings(tuple(vectors.tolist()), embedder.count_tokens(texts))


@cache
def _shared() -> WordLlamaEmbedder:
    return WordLlamaEmbedder.load()
