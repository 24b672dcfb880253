"""The one interface every chat provider has, and the errors it may end with."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Callable, Collection, Iterable
from contextvars import ContextVar
from dataclasses import dataclass
from typing import ClassVar

import httpx

from gateway.core.exceptions import UnsupportedParameter
from gateway.domain.config.catalog import ModelConfig, ProviderConfig, Timeouts
from gateway.domain.events import ProviderEvent
from gateway.domain.messages import Message
from gateway.domain.requests import ChatRequest

# Called with every piece of an answer that arrives, whether or not it becomes an event: also comments, pings
# and empty deltas. Whoever asks a provider may set it for the call.
activity_callback: ContextVar[Callable[[], None] | None] = ContextVar("sign_of_life", default=None)


@dataclass(frozen=True, slots=True)
class ProviderHealth:
    """What a check found; `detail` is a sentence for an operator."""

    reachable: bool
    detail: str
    # An HTTP answer came that is not a refusal of the account, though it was no success: not every server has
    # the address that is asked.
    responded: bool = False


class ChatProvider(ABC):
    """A vendor of chat models.

    `stream` yields `TextDelta`, `ReasoningDelta`, `ToolCallDelta` and `MessageFields`, and ends with exactly
    one `Completed`. Every way a vendor can fail becomes one of:

    - `UpstreamUnavailable`: connection refused or reset before an answer, HTTP 5xx, 408, 409, 425, 498 and
      499, and every other 4xx that no caller can cause, such as 404, 405 and 410 (not `transient`, nor is a
      refused connection)
    - `UpstreamTimeout`: the vendor was silent for too long
    - `UpstreamRateLimited`: HTTP 429, with `retry_after` seconds where the vendor gave them
    - `UpstreamUnauthorized`: HTTP 401, 402, 403, 407 or 451: the account's key, balance or region
    - `UpstreamRejected`, `ContextLengthExceeded`, `UpstreamTooLarge`: HTTP 400, 422, 413: the caller's
      request, unless the body says otherwise (`refusals`)
    - `UpstreamBroken`: garbage, a cut before the end marker, an error in the middle of a stream

    and `Unavailable` where this machine has no socket left to ask with, for which no vendor is to blame.

    No vendor's text is put into a message of an error. Cancelling the iterator closes the vendor's
    connection. A provider never retries; the graph does.
    """

    type: ClassVar[str]
    # Whether files and sounds of OpenAI's API (`RawPart`) are passed on.
    supports_raw_parts: ClassVar[bool] = False
    # Set where the server is a child of this gateway, which loads its model while the gateway starts.
    model_loading: bool = False

    def __init__(
        self, name: str, config: ProviderConfig, timeouts: Timeouts, http: httpx.AsyncClient
    ) -> None:
        self.name = name
        self.config = config
        self.timeouts = timeouts
        self.http = http

    @property
    def configured(self) -> bool:
        """Whether the configuration holds all that a call needs (an API key, a base URL)."""
        return True

    def can_serve(self, model: ModelConfig) -> bool:
        """Whether this provider can be asked for `model`, as far as the configuration goes."""
        return self.configured

    def find_unsupported(self, request: ChatRequest) -> UnsupportedParameter | None:
        """What this vendor cannot do of `request`, found without asking it; None where it may be asked."""
        return None

    @abstractmethod
    def stream(self, request: ChatRequest) -> AsyncGenerator[ProviderEvent, None]:
        """Ask the vendor and relay its answer; see the class for events and errors."""

    @abstractmethod
    async def check_health(self) -> ProviderHealth:
        """Whether the vendor answers now, by its cheapest call, within 2 s; never raises."""

    async def missing_models(self, models: Collection[str]) -> list[str] | None:
        """Those of the vendor's `models` that it does not have at hand; None where it cannot tell."""
        return None

    async def aclose(self) -> None:
        """Let go of what the provider itself opened; the shared HTTP client is not its own."""
        return


def reject_raw_parts(provider: ChatProvider, messages: Iterable[Message]) -> None:
    """See that the provider can pass on all parts of the messages.

    Raises:
        UnsupportedParameter: a file or a sound that it cannot; `param` is where its client wrote it.
    """
    if provider.supports_raw_parts:
        return
    for message in messages:
        for part in message.raw_parts:
            raise UnsupportedParameter(
                f"This model's provider takes no {part.type} parts. "
                "Send text and images, or use a model of a provider of the type openai.",
                param=part.path or "messages",
            )
