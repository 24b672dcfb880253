"""What is asked of an embedding model, and what it gives."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Vectors = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class EmbeddingRequest:
    """Texts for one model; `model` is the provider's own name of it, `dimensions` None its full length.

    `context_window` is the most tokens of each text, for providers that count them themselves.
    """

    model: str
    texts: tuple[str, ...]
    dimensions: int | None = None
    context_window: int | None = None


@dataclass(frozen=True, slots=True)
class Embeddings:
    """One vector for each text, in order: shape (texts, dimensions), finite, C-contiguous.

    `prompt_tokens` as counted, or estimated, by the provider.
    """

    vectors: Vectors
    prompt_tokens: int
