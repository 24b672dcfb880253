"""The breakers of this worker's upstreams, kept in step with those of all other workers.

What a call tells is known here at once and told to Valkey behind its back: nothing waits for that. Where
Valkey is away, each worker goes by what it has seen itself.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import aclosing, asynccontextmanager
from hashlib import blake2b
from typing import Literal, NoReturn
from uuid import uuid4

import structlog

from gateway.agent.recovery.standing import LastCalls
from gateway.cache.breaker_store import Act, BreakerStore
from gateway.cache.client import ValkeyUnavailable
from gateway.core import metrics
from gateway.domain.breaker import CLOSED, Breaker, SharedBreaker
from gateway.providers.chat.base import ChatProvider

log = structlog.get_logger(__name__)

POLL_SECONDS = 2.0
_RETRY_SECONDS = 1.0

Ending = Literal["well", "badly", "unclear"]


class Upstream:
    """One provider's answers for one model of the gateway's: who is asked, how busy, how well it does.

    `in_flight` counts this worker's calls. Until `cool_until` (monotonic seconds) it has asked to be spared.
    `last` is how the last calls ended. `takes_defaults_only`: it refused the temperature or the limit of the
    gateway's own questions. `streams` is False where it refused a stream that was only for the gateway.
    `untold` counts acts not yet sent to Valkey; `told_at` is when the last one was sent.
    """

    __slots__ = (
        *("breaker", "cool_until", "in_flight", "key", "last", "model", "provider", "streams"),
        *("takes_defaults_only", "told_at", "untold"),
    )

    def __init__(self, provider: ChatProvider, model: str, vendor_model: str, breaker: Breaker) -> None:
        self.provider = provider
        self.model = model
        # A provider that has moved, or is asked for another model of its own, starts afresh.
        place = f"{provider.config.base_url}\x1f{vendor_model}".encode("utf-8", "replace")
        self.key = f"{provider.name}\x1f{model}\x1f{blake2b(place, digest_size=8).hexdigest()}"
        self.breaker = breaker
        self.in_flight = 0
        self.last = LastCalls()
        self.takes_defaults_only = False
        self.streams = True
        self.cool_until = 0.0
        self.untold = 0
        self.told_at = 0.0

    @property
    def label(self) -> str:
        """The name in receipts."""
        return f"{self.provider.name}/{self.model}"


class SharedBreakers:
    """Opens and closes the breakers of `upstreams`; `quiet` is True while all are closed."""

    def __init__(
        self,
        store: BreakerStore,
        upstreams: Iterable[Upstream],
        *,
        clock: Callable[[], float],
        wall: Callable[[], float],
    ) -> None:
        self._store = store
        self._upstreams = tuple(upstreams)
        self._clock = clock
        self._wall = wall
        self._acts: deque[tuple[Act, Upstream, str | None, bool]] = deque()
        self._telling: asyncio.Task[None] | None = None
        self.quiet = True

    def ended(self, upstream: Upstream, how: Ending, token: str | None) -> None:
        """A call has ended; `token` is its probe's. Never waits."""
        breaker = upstream.breaker
        if how == "badly":
            closed = breaker.closed
            opened = breaker.fail(token, self._clock(), self._wall())
            if closed or opened:
                self._tell("fail", upstream, token, opened=opened)
        elif how == "well":
            if breaker.succeed(token):
                if token is not None:
                    log.info("circuit_closed", upstream=upstream.provider.name, model=upstream.model)
                self._tell("succeed", upstream, token)
        elif token is not None and breaker.release(token):
            self._tell("release", upstream, token)
        self._look()

    async def probe(self, upstream: Upstream) -> str | None:
        """The token of a probe, if nobody else is at one; None also where the breaker has closed since."""
        breaker = upstream.breaker
        token = breaker.probe = uuid4().hex  # from now on nobody else of this worker asks
        granted = False
        try:
            acted = await self._store.act("probe", upstream.key, token)
            granted = acted.done or (breaker.alone and acted.breaker.state == "closed")
            if granted and not acted.done:
                breaker.probed = True
            else:
                self._adopt(upstream, acted.breaker)
        except ValkeyUnavailable:
            granted = breaker.probed = not breaker.closed
        except asyncio.CancelledError:
            self._tell("release", upstream, token)
            raise
        finally:
            if not granted and breaker.probe == token:
                breaker.probe = None
        return token if granted else None

    @asynccontextmanager
    async def watching(self) -> AsyncIterator[None]:
        """While this is open, what other workers find out is learnt here, and held probes stay held."""
        watchers: list[asyncio.Task[NoReturn]] = []
        if self._store.configured:
            watchers = [asyncio.create_task(self._listen()), asyncio.create_task(self._poll())]
        try:
            yield
        finally:
            for task in watchers:
                task.cancel()
            await asyncio.gather(*watchers, return_exceptions=True)
            await self.told()

    async def told(self) -> None:
        """Returns once Valkey knows all that this worker had to tell."""
        if self._telling is not None:
            await asyncio.wait({self._telling})

    async def poll(self) -> None:
        """Hold on to the probes that this worker makes, and learn what all know, whatever messages were lost.

        Raises:
            ValkeyUnavailable
        """
        for upstream in self._upstreams:
            if upstream.breaker.probe is not None:
                await self._store.act("renew", upstream.key, upstream.breaker.probe)
        await self.read()

    async def read(self) -> None:
        """Learn what all workers know.

        Raises:
            ValkeyUnavailable
        """
        began = self._clock()
        known = await self._store.read()
        for upstream in self._upstreams:
            if not upstream.untold and upstream.told_at < began:
                self._adopt(upstream, known.get(upstream.key, CLOSED))

    def _tell(self, act: Act, upstream: Upstream, token: str | None, *, opened: bool = False) -> None:
        if not self._store.available:
            if opened:
                self._opened(upstream, alone=True)
            return
        upstream.untold += 1
        self._acts.append((act, upstream, token, opened))
        if self._telling is None or self._telling.done():
            self._telling = asyncio.get_running_loop().create_task(self._tell_all())

    async def _tell_all(self) -> None:
        while self._acts:
            act, upstream, token, opened = self._acts.popleft()
            try:
                acted = await self._store.act(act, upstream.key, token)
            except ValkeyUnavailable:
                upstream.untold -= 1
                if opened:
                    self._opened(upstream, alone=True)
                continue
            upstream.untold -= 1
            upstream.told_at = self._clock()
            if act == "fail" and acted.done:
                self._opened(upstream, alone=False)
            if not upstream.untold:
                self._adopt(upstream, acted.breaker)

    def _opened(self, upstream: Upstream, *, alone: bool) -> None:
        """Count an opening that this worker caused."""
        upstream.breaker.alone = alone
        metrics.circuit_open.labels(upstream.provider.name).inc()
        log.warning("circuit_opened", upstream=upstream.provider.name, model=upstream.model, alone=alone)

    def _adopt(self, upstream: Upstream, shared: SharedBreaker) -> None:
        upstream.breaker.adopt(shared, self._clock())
        self._look()

    def _look(self) -> None:
        self.quiet = all(upstream.breaker.closed for upstream in self._upstreams)

    async def _listen(self) -> NoReturn:
        while True:
            try:
                async with aclosing(self._store.changes()) as changes:
                    async for _ in changes:
                        await self.read()
            except ValkeyUnavailable:
                await asyncio.sleep(_RETRY_SECONDS)

    async def _poll(self) -> NoReturn:
        while True:
            try:
                await self.poll()
            except ValkeyUnavailable:
                log.debug("breakers_not_read")  # the breakers go by what this worker has seen
            await asyncio.sleep(POLL_SECONDS)
