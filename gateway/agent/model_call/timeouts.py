"""Timeouts of one model call: maximum silence and total duration."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from gateway.domain.requests import ChatRequest
from gateway.providers.base import ChatProvider

# An unstreamed answer is silent until its last token. Only calls that no other model could take over are made
# this way (decision 49). They get one first-token timeout more for each so many tokens of the answer limit,
# or of the default limit.
_TOKENS_PER_WAIT = 250
_DEFAULT_ANSWER_TOKENS = 1500


@dataclass(frozen=True, slots=True)
class CallTimeouts:
    """Seconds: `silence` between two received chunks, `total` for the call."""

    silence: float
    total: float


def timeouts_for(provider: ChatProvider, request: ChatRequest) -> CallTimeouts:
    """The timeouts of one call, from its provider's configuration.

    Any received bytes count as activity, including comments, pings and empty deltas.
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
    """A deadline that activity extends, up to the total duration."""

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
        """Why the deadline expired, for operators."""
        if self._loop.time() >= self._latest:
            return "not finished within the maximum duration of a call"
        return f"silent for {self._silence:g} s"
