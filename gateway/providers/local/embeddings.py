"""Embeddings computed in this process, from the `wordllama` table."""

from __future__ import annotations

import asyncio
from functools import cache

from gateway.core.exceptions import ContextLengthExceeded, UnsupportedParameter
from gateway.domain.embeddings import EmbeddingRequest, Embeddings
from gateway.providers.base import EmbeddingProvider
from gateway.providers.local.wordllama import DIMENSIONS, WordLlamaEmbedder
from gateway.providers.vectors import truncate_and_normalize


class LocalEmbeddings(EmbeddingProvider):
    """Vectors of 256 dimensions, which may be shortened to 64 or 128.

    The model may have any name.
    """

    type = "local"

    async def embed(self, request: EmbeddingRequest) -> Embeddings:
        dimensions = request.dimensions or DIMENSIONS
        if dimensions > DIMENSIONS:
            raise UnsupportedParameter(
                f"This model's vectors have {DIMENSIONS} dimensions.", param="dimensions"
            )
        # A batch of long texts takes tens of milliseconds, too long for the event loop.
        return await asyncio.to_thread(_embed, request.texts, dimensions, request.context_window)


def _embed(texts: tuple[str, ...], dimensions: int, window: int | None) -> Embeddings:
    embedder = _shared_embedder()
    counts = [embedder.count_tokens((text,)) for text in texts]
    if window is not None and max(counts) > window:
        raise ContextLengthExceeded(
            f"A text has {max(counts):,} tokens; this model accepts {window:,}. Split it.", param="input"
        )
    return Embeddings(truncate_and_normalize(embedder.embed(texts), dimensions), sum(counts))


@cache
def _shared_embedder() -> WordLlamaEmbedder:
    return WordLlamaEmbedder.load()
