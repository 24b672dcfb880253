"""How long one call of a model may be silent, and how long it may take."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from gateway.domain.requests import ChatRequest
from gateway.providers.base import ChatProvider

# An unstreamed answer is one silence until its last token. Only calls that no other model could take over
# are made so (decision 49). It is given the time of a first token again for
# each so many tokens that it may have; without a limit of its own, for an answer of `_USUAL_TOKENS`.
_TOKENS_PER_WAIT = 250
_DEFAULT_ANSWER_TOKENS = 1500


@dataclass(frozen=True, slots=True)
class CallTimeouts:
    """Seconds: `silence` between signs of life, `total` for the call."""

    silence: float
    total: float


def timeouts_for(provider: ChatProvider, request: ChatRequest) -> CallTimeouts:
    """The limits of one call, from the timeouts of its provider.

    Signs of life are bytes: also comments, pings and empty deltas, by which an upstream says that it works.
    """
    timeouts = provider.timeouts
    if provider.type == "mock":
        return CallTimeouts(min(timeouts.first_token, timeouts.mock), timeouts.mock)
    if request.stream:
        total = timeouts.live if request.assembled else timeouts.stream
        return CallTimeouts(min(timeouts.first_token, timeouts.live), total)
    tokens = request.sampling.max_tokens or _DEFAULT_ANSWER_TOKENS
    silence = timeouts.first_token * (1 + tokens / _TOKENS_PER_WAIT)
    return CallTimeouts(min(silence, timeouts.live), timeouts.live)


class CallDeadline:
    """A deadline that each sign of life moves on, never past the total."""

    def __init__(self, timeouts: CallTimeouts) -> None:
        self._loop = asyncio.get_running_loop()
        self._silence = timeouts.silence
        self._latest = self._loop.time() + timeouts.total
        self.timeout = asyncio.timeout(min(timeouts.silence, timeouts.total))

    def extend(self) -> None:
        if not self.timeout.expired():
            self.timeout.reschedule(min(self._latest, self._loop.time() + self._silence))

    @property
    def reason(self) -> str:
        """Why the time was up, for operators."""
        if self._loop.time() >= self._latest:
            return "not finished within the time that a call may take"
        return f"silent for {self._silence:g} s"
