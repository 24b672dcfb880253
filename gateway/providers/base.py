"""The interfaces of providers: chat, images and embeddings, on one base."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Callable, Collection, Iterable
from contextvars import ContextVar
from dataclasses import dataclass
from typing import ClassVar

import httpx

from gateway.core.exceptions import UnsupportedParameter
from gateway.domain.config.models import ModelConfig
from gateway.domain.config.providers import ProviderConfig, Timeouts
from gateway.domain.embeddings import EmbeddingRequest, Embeddings
from gateway.domain.events import ProviderEvent
from gateway.domain.images import ImageEvent, ImageRequest
from gateway.domain.messages import Message
from gateway.domain.requests import ChatRequest

# Called whenever bytes of a response arrive, even if they yield no event (comments, pings, empty deltas).
# A caller of a provider may set it for one call.
activity_callback: ContextVar[Callable[[], None] | None] = ContextVar("activity_callback", default=None)


@dataclass(frozen=True, slots=True)
class ProviderHealth:
    """The result of a health check; `detail` is a human-readable message.

    `responded` means that there was an HTTP response that neither succeeded nor rejected the account: not
    every server has the URL that is checked.
    """

    reachable: bool
    detail: str
    responded: bool = False


class Provider(ABC):
    """A configured endpoint of a vendor.

    A provider never retries; the agent and the services do. Its failures are:

    - `UpstreamUnavailable`: connection refused or reset before a response, HTTP 5xx, 408, 409, 425, 498 and
      499, and every other 4xx that no caller can cause, such as 404, 405 and 410 (not `transient`, nor is a
      refused connection)
    - `UpstreamTimeout`: no data for too long
    - `UpstreamRateLimited`: HTTP 429, with `retry_after` seconds if the vendor sent them
    - `UpstreamUnauthorized`: HTTP 401, 402, 403, 407 or 451: the account's key, balance or region
    - `UpstreamRejected`, `ContextLengthExceeded`, `UpstreamTooLarge`: HTTP 400, 422, 413: the caller's
      request, unless the body says otherwise (`providers.errors`)
    - `UpstreamBroken`: malformed data, a connection lost before the end marker, an error within a stream
    - `Unavailable`: this machine has no free socket, for which no vendor is to blame

    No message of these errors contains a vendor's text.
    """

    type: ClassVar[str]
    # Whether the server is a child process of the gateway that is still loading its model.
    model_loading: bool = False

    def __init__(
        self, name: str, config: ProviderConfig, timeouts: Timeouts, http: httpx.AsyncClient
    ) -> None:
        """Read the configuration; opens no connection.

        Raises:
            ValueError: the configuration is invalid.
        """
        self.name = name
        self.config = config
        self.timeouts = timeouts
        self.http = http

    @property
    def configured(self) -> bool:
        """Whether the configuration has everything that a call needs (an API key, a base URL)."""
        return True

    def can_serve(self, model: ModelConfig) -> bool:
        """Whether the provider is configured for `model`."""
        return self.configured

    async def check_health(self) -> ProviderHealth:
        """Check within 2 s whether the vendor answers, by its cheapest call.

        Never raises.
        """
        return ProviderHealth(self.configured, "is configured" if self.configured else "is not configured")

    async def missing_models(self, models: Collection[str]) -> list[str] | None:
        """Return those of the vendor's `models` that it does not have.

        Returns None if it cannot tell.
        """
        return None

    async def aclose(self) -> None:
        """Close what the provider has opened itself; the HTTP client is shared."""
        return


class ChatProvider(Provider):
    """A provider of chat models."""

    # Whether files and audio of OpenAI's API (`RawPart`) are passed on.
    supports_raw_parts: ClassVar[bool] = False

    def find_unsupported(self, request: ChatRequest) -> UnsupportedParameter | None:
        """Return an error for what this vendor does not support, without calling it.

        Returns None if everything is supported.
        """
        return None

    @abstractmethod
    def stream(self, request: ChatRequest) -> AsyncGenerator[ProviderEvent, None]:
        """Call the vendor and yield its answer.

        Yields `TextDelta`, `ReasoningDelta`, `ToolCallDelta` and `MessageFields`, and ends with exactly one
        `Completed`. Closing the iterator closes the vendor's connection.

        Raises:
            GatewayError: see `Provider`.
        """


class ImageProvider(Provider):
    """A provider of image models."""

    # Whether a cancelled request generates nothing more. Otherwise the vendor continues and charges for it.
    stops_when_cancelled: ClassVar[bool] = False
    # The keys of `ImageRequest.rendering` that it supports.
    rendering_options: ClassVar[frozenset[str]] = frozenset()

    @abstractmethod
    def generate(self, request: ImageRequest) -> AsyncGenerator[ImageEvent, None]:
        """Yield progress, if the provider reports it, and one `ImageCompleted` per image.

        Closing the iterator early cancels the work at the provider if possible.

        Raises:
            GatewayError: see `Provider`; the message names a workflow's failing node.
            UnsupportedParameter: the provider does not support a parameter; `param` names it.
        """


class EmbeddingProvider(Provider):
    """A provider of embedding models."""

    # Whether it accepts lists of tokens instead of texts.
    accepts_tokens: ClassVar[bool] = False

    @abstractmethod
    async def embed(self, request: EmbeddingRequest) -> Embeddings:
        """Return one vector per text, in order, all of the same length.

        Raises:
            GatewayError: see `Provider`.
            UnsupportedParameter: the model does not support `dimensions`.
            ContextLengthExceeded: a text has more tokens than the model's context window.
        """


def require_chat(provider: Provider) -> ChatProvider:
    """Return the provider as a chat provider.

    Raises:
        UnsupportedParameter: its vendor has no chat API.
    """
    if not isinstance(provider, ChatProvider):
        raise UnsupportedParameter("This model does not support chat. Use another model.", param="model")
    return provider


def reject_raw_parts(provider: ChatProvider, messages: Iterable[Message]) -> None:
    """Check that the provider supports all parts of the messages.

    Raises:
        UnsupportedParameter: it does not support a file or audio part; `param` is its place in the request.
    """
    if provider.supports_raw_parts:
        return
    for message in messages:
        for part in message.raw_parts:
            raise UnsupportedParameter(
                f"This model's provider does not support {part.type} parts. "
                "Send text and images, or use a model of a provider of the type openai.",
                param=part.path or "messages",
            )
