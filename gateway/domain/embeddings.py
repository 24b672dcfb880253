"""Embedding requests and results."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

Vectors = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class EmbeddingRequest:
    """Inputs for one model.

    `model` is the provider's name, `dimensions` None means full length.

    `context_window` is the maximum tokens per input, for providers that count themselves. `tokens` are lists
    of token ids instead of texts, for providers of the type `openai`. `as_base64` is set if the client wants
    that encoding; `extra` are further fields of OpenAI's body.
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
        """Return the number of inputs."""
        return len(self.tokens) or len(self.texts)


@dataclass(frozen=True, slots=True)
class Embeddings:
    """One vector per input, in order.

    Shape (inputs, dimensions), finite, C-contiguous.

    `prompt_tokens` are counted or estimated by the provider.
    """

    vectors: Vectors
    prompt_tokens: int
