"""The one interface every image provider has."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator
from typing import ClassVar

import httpx

from gateway.domain.config.catalog import ProviderConfig, Timeouts
from gateway.domain.images import ImageEvent, ImageRequest


class ImageProvider(ABC):
    """A maker of pictures; errors are those of `ChatProvider`, and it never retries either."""

    type: ClassVar[str]
    # Whether a cancelled request makes nothing any more; vendors go on and charge for the images.
    stops_when_cancelled: ClassVar[bool] = False
    # The words of `ImageRequest.rendering` that it takes.
    rendering_options: ClassVar[frozenset[str]] = frozenset()

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
    def generate(self, request: ImageRequest) -> AsyncGenerator[ImageEvent, None]:
        """Progress where the provider tells it, and one `ImageDone` for each picture.

        Closing the iterator early calls the work off at the provider where that is possible.

        Raises:
            UpstreamError and its kin, with a sentence that names a workflow's failing node.
            UnsupportedParameter: what this provider cannot do, by its `param`.
        """


def merge_negative_prompt(request: ImageRequest) -> str:
    """The prompt for models that take one text: with what shall not be seen as its last sentence."""
    if not request.negative_prompt:
        return request.prompt
    return f"{request.prompt}\n\nNot in the picture: {request.negative_prompt}"
