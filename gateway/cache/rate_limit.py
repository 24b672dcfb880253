"""Requests a minute: a sliding window in Valkey that all workers share, a stricter one here without it."""

from __future__ import annotations

import time
from collections import OrderedDict, deque
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b, sha1
from pathlib import Path
from typing import Any
from uuid import UUID

from redis.asyncio import Redis
from redis.exceptions import NoScriptError

from gateway.cache.client import ValkeyClient, ValkeyUnavailable
from gateway.domain.budget import Counts, PerMinute, Window

_MINUTE = 60.0
_CALLERS = 10_000  # whose requests are remembered here while Valkey is away
_SCRIPT = Path(__file__).with_name("admission.lua").read_text(encoding="utf-8")
_SHA = sha1(_SCRIPT.encode(), usedforsecurity=False).hexdigest()


_UNLIMITED = PerMinute()


@dataclass(frozen=True, slots=True)
class Counted:
    """That a request was counted (or not), and in which window: None where there is no limit.

    `turns_left` is what remains of the account's turns a minute, or of a key's own lower limit.
    """

    window: Window | None
    turns_left: int | None = None
    was: bool = True


NOT_COUNTED = Counted(None, was=False)


class RateLimiter:
    """Counts requests against the account's limit and a key's own lower one.

    `tiers` holds the limits by tier, the first ones for tiers it does not hold. Turns and reads have separate
    windows; a key's limit counts with turns.
    Without Valkey each worker admits half of a limit by itself: strict with one worker, never without limits.
    What it let in by Valkey's word in the last minute is part of that half: an outage is no new minute.
    """

    def __init__(self, valkey: ValkeyClient, tiers: Mapping[str, PerMinute]) -> None:
        self._valkey = valkey
        self._local: OrderedDict[str, deque[float]] = OrderedDict()
        self.adopt(tiers)

    def adopt(self, tiers: Mapping[str, PerMinute]) -> None:
        """Count by these limits from now on; what was counted stays."""
        self._tiers = dict(tiers)
        self._first = next(iter(self._tiers.values()), _UNLIMITED)
        self._arguments = tuple(
            part for name, limit in tiers.items() for part in (name, limit.turns or 0, limit.reads or 0)
        )

    async def read_and_count(
        self,
        kind: str,
        account: str,
        other: str,
        claim: str | int,
        user_id: UUID,
        key: bytes = b"",
        counts: Counts = "turn",
    ) -> tuple[bytes | None, bytes | None, Counted]:
        """Two entries of the auth cache, and one request counted if they make the caller's claim good.

        Args:
            kind: `session` or `key`; `claim` is the token's version or the owner's id in hex.
            account, other: names of the entries. key: the API key's hash. counts: in which window.

        Returns:
            Both entries, and whether the request was counted.

        Raises:
            ValkeyUnavailable: nothing is known, nothing was counted.
        """
        names = _windows(user_id, key)
        reply = await self._run(5, account, other, *names, kind, claim, counts, *self._arguments)
        if not reply[2]:
            return reply[0], reply[1], NOT_COUNTED
        return reply[0], reply[1], self._counted(reply[3:], counts, names, key)

    async def count(
        self,
        user_id: UUID,
        tier: str,
        key: bytes = b"",
        key_limit: int | None = None,
        counts: Counts = "turn",
    ) -> Counted:
        """Count a request of a caller who is known from elsewhere."""
        limits = self._tiers.get(tier, self._first)
        names = _windows(user_id, key)
        most = (limits.turns or 0, key_limit or 0, limits.reads or 0)
        if not any(most):
            return Counted(None)
        try:
            reply = await self._run(3, *names, "count", counts, *most)
        except ValkeyUnavailable:
            return self._count_here(counts, names, most)
        return self._counted(reply[1:], counts, names, key)

    def _counted(self, reply: list[int], counts: Counts, names: tuple[str, str, str], key: bytes) -> Counted:
        window = _as_window(reply[:4])
        if counts == "turn":
            self._remember(window, names[0], names[1] if key else "")
            return Counted(window, None if window is None else window.remaining)
        if counts == "read":
            self._remember(window, names[2])
        return Counted(window, reply[4] if reply[4] >= 0 else None)

    async def _run(self, keys: int, *arguments: str | int) -> Any:
        async def evaluate(redis: Redis) -> Any:
            try:
                return await _execute(redis, "EVALSHA", _SHA, keys, *arguments)
            except NoScriptError:
                return await _execute(redis, "EVAL", _SCRIPT, keys, *arguments)

        return await self._valkey.run(evaluate)

    def _remember(self, window: Window | None, *names: str) -> None:
        """Note down what Valkey let in: it counts here as well, should Valkey go away."""
        if window is None or window.wait is not None:
            return
        now = time.monotonic()
        for name in filter(None, names):
            self._requests(name, now).append(now)

    def _count_here(self, counts: Counts, names: tuple[str, str, str], most: tuple[int, int, int]) -> Counted:
        """Count in this process, by half of each limit."""
        turns, key, reads = (
            (name, (limit + 1) // 2) if limit else None for name, limit in zip(names, most, strict=True)
        )
        if counts == "turn":
            window = self._take(*(one for one in (turns, key) if one))
            return Counted(window, None if window is None else window.remaining)
        seen = 0 if turns is None else len(self._requests(turns[0], time.monotonic()))
        left = None if turns is None else max(0, turns[1] - seen)
        return Counted(self._take(reads) if counts == "read" and reads else None, left)

    def _take(self, *limits: tuple[str, int]) -> Window | None:
        if not limits:
            return None
        now = time.monotonic()
        windows = [(self._requests(name, now), limit) for name, limit in limits]
        wait = max(
            (seen[len(seen) - limit] + _MINUTE - now for seen, limit in windows if len(seen) >= limit),
            default=None,
        )
        if wait is None:
            for seen, _ in windows:
                seen.append(now)
        seen, limit = min(windows, key=lambda window: window[1] - len(window[0]))
        return Window(limit, max(0, limit - len(seen)), seen[-1] + _MINUTE - now, wait)

    def _requests(self, name: str, now: float) -> deque[float]:
        seen = self._local.setdefault(name, deque())
        self._local.move_to_end(name)
        if len(self._local) > _CALLERS:
            self._local.popitem(last=False)
        while seen and seen[0] <= now - _MINUTE:
            seen.popleft()
        return seen


def _windows(user_id: UUID, key: bytes) -> tuple[str, str, str]:
    """The account's turns, the key's requests, the account's reads."""
    account = _window(user_id.bytes)
    return account, _window(key), account + ":reads"


def _window(caller: bytes) -> str:
    """A name that tells nobody whose window it is: it may outlive the account by a minute."""
    return "rate:" + blake2b(caller, digest_size=12).hexdigest()


def _as_window(reply: list[int]) -> Window | None:
    limit, remaining, reset, wait = reply
    if not limit:
        return None
    return Window(limit, remaining, reset / 1e6, wait / 1e6 if wait > 0 else None)


async def _execute(redis: Redis, *command: str | int) -> Any:
    return await redis.execute_command(*command)  # type: ignore[no-untyped-call]
