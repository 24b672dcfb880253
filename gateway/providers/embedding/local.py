"""Embeddings on this machine, without a server: the `wordllama` table."""

from __future__ import annotations

import asyncio
from functools import cache

from gateway.core.exceptions import UnsupportedParameter
from gateway.domain.embeddings import EmbeddingRequest, Embeddings
from gateway.providers.embedding.base import EmbeddingProvider, shortened
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
    vectors = shortened(embedder.embed(texts), dimensions)
    return Embeddings(vectors, embedder.count_tokens(texts))


@cache
def _shared() -> WordLlamaEmbedder:
    return WordLlamaEmbedder.load()
