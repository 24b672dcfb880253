"""Embeddings on this machine, without a server: the `wordllama` table."""

from __future__ import annotations

import asyncio
from functools import cache

from gateway.core.exceptions import ContextLengthExceeded, UnsupportedParameter
from gateway.domain.embeddings import EmbeddingRequest, Embeddings
from gateway.providers.embedding_base import EmbeddingProvider, truncate_and_normalize
from gateway.providers.local.wordllama import DIMENSIONS, WordLlamaEmbedder


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
        return await asyncio.to_thread(_embed, request.texts, dimensions, request.context_window)


def _embed(texts: tuple[str, ...], dimensions: int, window: int | None) -> Embeddings:
    embedder = _shared_embedder()
    counts = [embedder.count_tokens((text,)) for text in texts]
    if window is not None and max(counts) > window:
        raise ContextLengthExceeded(
            f"A text has {max(counts):,} tokens; this model takes {window:,}. Split it.", param="input"
        )
    return Embeddings(truncate_and_normalize(embedder.embed(texts), dimensions), sum(counts))


@cache
def _shared_embedder() -> WordLlamaEmbedder:
    return WordLlamaEmbedder.load()
