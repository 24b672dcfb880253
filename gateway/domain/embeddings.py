"""What is asked of an embedding model, and what it gives."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

Vectors = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class EmbeddingRequest:
    """Inputs for one model; `model` is the provider's own name of it, `dimensions` None its full length.

    `context_window` is the most tokens of each input, for providers that count them themselves. `tokens` are
    lists of tokens in place of texts, for providers of the type `openai`. `base64` says whether the client
    wants that encoding; `extra` holds further fields of OpenAI's body.
    """

    model: str
    texts: tuple[str, ...]
    dimensions: int | None = None
    context_window: int | None = None
    tokens: tuple[tuple[int, ...], ...] = ()
    as_base64: bool = False
    extra: dict[str, Any] = field(default_factory=dict)

    @property
    def count(self) -> int:
        """How many vectors are wanted."""
        return len(self.tokens) or len(self.texts)


@dataclass(frozen=True, slots=True)
class Embeddings:
    """One vector for each text, in order: shape (texts, dimensions), finite, C-contiguous.

    `prompt_tokens` as counted, or estimated, by the provider.
    """

    vectors: Vectors
    prompt_tokens: int
