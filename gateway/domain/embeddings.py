"""What is asked of an embedding model, and what it gives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class EmbeddingRequest:
    """Texts for one model; `model` is the provider's own name of it, `dimensions` None its full length."""

    model: str
    texts: tuple[str, ...]
    dimensions: int | None = None


@dataclass(frozen=True, slots=True)
class Embeddings:
    """One vector for each text, in order; `prompt_tokens` as counted, or estimated, by the provider."""

    vectors: tuple[Sequence[float], ...]
    prompt_tokens: int
