"""The one interface every embedding provider has."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

import httpx
import numpy as np

from gateway.core.exceptions import UnsupportedParameter
from gateway.domain.catalog import ProviderConfig, Timeouts
from gateway.domain.embeddings import EmbeddingRequest, Embeddings, Vectors
from gateway.domain.tokens import bytes_at_most
from gateway.domain.usage import estimate_tokens

# Of each text: its beginning, its end, and an instruction that a server may put before it.
_TOKENS_AROUND = 512


class EmbeddingProvider(ABC):
    """A vendor of embedding models; errors are those of `ChatProvider`, and it never retries either."""

    type: ClassVar[str]
    # Whether it takes lists of tokens in place of texts.
    takes_tokens: ClassVar[bool] = False

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


def believed_tokens(counted: int, texts: Sequence[str], tokens: Sequence[Sequence[int]] = ()) -> int:
    """A server's count of tokens; an estimate where it is 0 or more than the inputs can be."""
    if tokens:
        given = sum(map(len, tokens))
        return counted if 0 < counted <= given + _TOKENS_AROUND * len(tokens) else given
    most = sum(bytes_at_most(text) + _TOKENS_AROUND for text in texts)
    return counted if 0 < counted <= most else sum(map(estimate_tokens, texts))


def shortened(vectors: Vectors, dimensions: int | None) -> Vectors:
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
    cut = vectors[:, :dimensions]
    norms = np.linalg.norm(cut, axis=1, keepdims=True)
    return np.ascontiguousarray(cut / np.where(norms == 0, np.float32(1), norms))
