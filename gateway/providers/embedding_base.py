"""The one interface every embedding provider has."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

import httpx
import numpy as np

from gateway.core.exceptions import UnsupportedParameter
from gateway.domain.config.catalog import ProviderConfig, Timeouts
from gateway.domain.embeddings import EmbeddingRequest, Embeddings, Vectors
from gateway.domain.money import estimate_tokens
from gateway.domain.token_estimates import max_tokens_by_bytes

# Of each text: its beginning, its end, and an instruction that a server may put before it.
_OVERHEAD_TOKENS = 512


class EmbeddingProvider(ABC):
    """A vendor of embedding models; errors are those of `ChatProvider`, and it never retries either."""

    type: ClassVar[str]
    # Whether it takes lists of tokens in place of texts.
    accepts_tokens: ClassVar[bool] = False

    def __init__(
        self, name: str, config: ProviderConfig, timeouts: Timeouts, http: httpx.AsyncClient
    ) -> None:
        self.name = name
        self.config = config
        self.timeouts = timeouts
        self.http = http

    @property
    def configured(self) -> bool:
        """Whether the configuration holds all that a call needs."""
        return True

    @abstractmethod
    async def embed(self, request: EmbeddingRequest) -> Embeddings:
        """A vector for each text, in order, all of one length.

        Raises:
            UnsupportedParameter: `dimensions` that the model cannot give.
            ContextLengthExceeded: a text has more tokens than the model's window. UpstreamError and its kin.
        """


def plausible_token_count(reported: int, texts: Sequence[str], tokens: Sequence[Sequence[int]] = ()) -> int:
    """A server's count of tokens; an estimate where it is 0 or more than the inputs can be."""
    if tokens:
        actual = sum(map(len, tokens))
        return reported if 0 < reported <= actual + _OVERHEAD_TOKENS * len(tokens) else actual
    maximum = sum(max_tokens_by_bytes(text) + _OVERHEAD_TOKENS for text in texts)
    return reported if 0 < reported <= maximum else sum(map(estimate_tokens, texts))


def truncate_and_normalize(vectors: Vectors, dimensions: int | None) -> Vectors:
    """The first `dimensions` numbers of each vector, made a vector of length 1 again.

    Raises:
        UnsupportedParameter: the vectors have fewer.
    """
    if dimensions is None or vectors.shape[1] == dimensions:
        return np.ascontiguousarray(vectors)
    if vectors.shape[1] < dimensions:
        raise UnsupportedParameter(
            f"This model's vectors have {vectors.shape[1]} dimensions. Ask for as many or fewer.",
            param="dimensions",
        )
    truncated = vectors[:, :dimensions]
    norms = np.linalg.norm(truncated, axis=1, keepdims=True)
    return np.ascontiguousarray(truncated / np.where(norms == 0, np.float32(1), norms))
