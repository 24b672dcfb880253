"""The one interface every embedding provider has."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import httpx

from gateway.domain.catalog import ProviderConfig, Timeouts
from gateway.domain.embeddings import EmbeddingRequest, Embeddings


class EmbeddingProvider(ABC):
    """A vendor of embedding models; errors are those of `ChatProvider`, and it never retries either."""

    type: ClassVar[str]

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
            UnsupportedParameter: `dimensions` that the model cannot give. UpstreamError and its kin.
        """
