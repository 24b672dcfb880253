"""Requests per minute: a sliding window in Valkey, or a stricter local one."""

from __future__ import annotations

import time
from collections import OrderedDict, deque
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b, sha1
from pathlib import Path
from typing import Any, Literal, NamedTuple
from uuid import UUID

from redis.asyncio import Redis
from redis.exceptions import NoScriptError

from gateway.cache.client import ValkeyClient, ValkeyUnavailable
from gateway.domain.usage.budgets import LimitWindow, MinuteLimits, RateCategory

_MINUTE = 60.0
_MAX_LOCAL_CALLERS = 10_000  # callers counted locally while Valkey is down
_SCRIPT = Path(__file__).with_name("admission.lua").read_text(encoding="utf-8")
_SHA = sha1(_SCRIPT.encode(), usedforsecurity=False).hexdigest()


_UNLIMITED = MinuteLimits()


@dataclass(frozen=True, slots=True)
class CountResult:
    """Whether a request was counted, and its window.

    The window is None without a limit.

    `turns_left` is the remainder of the account's turns per minute, or of a key's own lower limit.
    """

    window: LimitWindow | None
    turns_left: int | None = None
    counted: bool = True


NOT_COUNTED = CountResult(None, counted=False)


class CredentialClaim(NamedTuple):
    """A credential to check against two entries of the auth cache.

    Attributes:
        kind: `session` or `key`.
        account_entry, other_entry: keys of the account's entry and of the session's or API key's.
        claim: the token's version, or the owner's id in hex.
        user_id: the account whose request is counted.
        key_hash: the API key's hash; empty for a session.
        counts: the window in which the request counts.
    """

    kind: Literal["session", "key"]
    account_entry: str
    other_entry: str
    claim: str | int
    user_id: UUID
    key_hash: bytes = b""
    rate_category: RateCategory = "turn"


class RateLimiter:
    """Counts requests against the account's limits and a key's own lower limit.

    `tiers` maps tiers to limits; unknown tiers get the first. Turns and reads have separate windows; a key's
    limit counts like turns. Without Valkey each worker admits half of a limit by itself: strict with one
    worker, never unlimited. Requests that Valkey admitted in the last minute count too, so an outage does not
    reset the window.
    """

    def __init__(self, valkey: ValkeyClient, tiers: Mapping[str, MinuteLimits]) -> None:
        self._valkey = valkey
        self._local: OrderedDict[str, deque[float]] = OrderedDict()
        self.reconfigure(tiers)

    def reconfigure(self, tiers: Mapping[str, MinuteLimits]) -> None:
        """Apply these limits from now on; counts are kept."""
        self._tiers = dict(tiers)
        self._default_limits = next(iter(self._tiers.values()), _UNLIMITED)
        self._arguments = tuple(
            part for name, limit in tiers.items() for part in (name, limit.turns or 0, limit.reads or 0)
        )

    async def read_and_count(
        self, credential: CredentialClaim
    ) -> tuple[bytes | None, bytes | None, CountResult]:
        """Read two entries of the auth cache, and count a request if they confirm it.

        Returns:
            Both entries, and whether the request was counted.

        Raises:
            ValkeyUnavailable: nothing was read or counted.
        """
        kind, account, other, claim, user_id, key, category = credential
        names = _window_keys(user_id, key)
        reply = await self._run(5, account, other, *names, kind, claim, category, *self._arguments)
        if not reply[2]:
            return reply[0], reply[1], NOT_COUNTED
        return reply[0], reply[1], self._result(reply[3:], category, names, key)

    async def count(
        self,
        user_id: UUID,
        tier: str,
        key: bytes = b"",
        key_limit: int | None = None,
        rate_category: RateCategory = "turn",
    ) -> CountResult:
        """Count a request of a caller who was authenticated without the cache."""
        limits = self._tiers.get(tier, self._default_limits)
        names = _window_keys(user_id, key)
        maxima = (limits.turns or 0, key_limit or 0, limits.reads or 0)
        if not any(maxima):
            return CountResult(None)
        try:
            reply = await self._run(3, *names, "count", rate_category, *maxima)
        except ValkeyUnavailable:
            return self._count_locally(rate_category, names, maxima)
        return self._result(reply[1:], rate_category, names, key)

    def _result(
        self, reply: list[int], rate_category: RateCategory, names: tuple[str, str, str], key: bytes
    ) -> CountResult:
        window = _parse_window(reply[:4])
        if rate_category == "turn":
            self._record_locally(window, names[0], names[1] if key else "")
            return CountResult(window, None if window is None else window.remaining)
        if rate_category == "read":
            self._record_locally(window, names[2])
        return CountResult(window, reply[4] if reply[4] >= 0 else None)

    async def _run(self, keys: int, *arguments: str | int) -> Any:
        async def evaluate(redis: Redis) -> Any:
            try:
                return await _execute(redis, "EVALSHA", _SHA, keys, *arguments)
            except NoScriptError:
                return await _execute(redis, "EVAL", _SCRIPT, keys, *arguments)

        return await self._valkey.run(evaluate)

    def _record_locally(self, window: LimitWindow | None, *names: str) -> None:
        """Record a request that Valkey admitted, in case Valkey goes down."""
        if window is None or window.retry_after is not None:
            return
        now = time.monotonic()
        for name in filter(None, names):
            self._recent_requests(name, now).append(now)

    def _count_locally(
        self, rate_category: RateCategory, names: tuple[str, str, str], maxima: tuple[int, int, int]
    ) -> CountResult:
        """Count in this process against half of each limit."""
        turns, key, reads = (
            (name, (limit + 1) // 2) if limit else None for name, limit in zip(names, maxima, strict=True)
        )
        if rate_category == "turn":
            window = self._admit_locally(*(one for one in (turns, key) if one))
            return CountResult(window, None if window is None else window.remaining)
        seen = 0 if turns is None else len(self._recent_requests(turns[0], time.monotonic()))
        turns_left = None if turns is None else max(0, turns[1] - seen)
        return CountResult(
            self._admit_locally(reads) if rate_category == "read" and reads else None, turns_left
        )

    def _admit_locally(self, *limits: tuple[str, int]) -> LimitWindow | None:
        if not limits:
            return None
        now = time.monotonic()
        windows = [(self._recent_requests(name, now), limit) for name, limit in limits]
        wait = max(
            (seen[len(seen) - limit] + _MINUTE - now for seen, limit in windows if len(seen) >= limit),
            default=None,
        )
        if wait is None:
            for seen, _ in windows:
                seen.append(now)
        seen, limit = min(windows, key=lambda window: window[1] - len(window[0]))
        return LimitWindow(limit, max(0, limit - len(seen)), seen[-1] + _MINUTE - now, wait)

    def _recent_requests(self, name: str, now: float) -> deque[float]:
        seen = self._local.setdefault(name, deque())
        self._local.move_to_end(name)
        if len(self._local) > _MAX_LOCAL_CALLERS:
            self._local.popitem(last=False)
        while seen and seen[0] <= now - _MINUTE:
            seen.popleft()
        return seen


def _window_keys(user_id: UUID, key: bytes) -> tuple[str, str, str]:
    """Return the keys of the account's turns, the API key and the account's reads."""
    account = _window_key(user_id.bytes)
    return account, _window_key(key), account + ":reads"


def _window_key(caller: bytes) -> str:
    """Return a key that hides the caller, since it may outlive the account."""
    return "rate:" + blake2b(caller, digest_size=12).hexdigest()


def _parse_window(reply: list[int]) -> LimitWindow | None:
    limit, remaining, reset, wait = reply
    if not limit:
        return None
    return LimitWindow(limit, remaining, reset / 1e6, wait / 1e6 if wait > 0 else None)


async def _execute(redis: Redis, *command: str | int) -> Any:
    return await redis.execute_command(*command)  # type: ignore[no-untyped-call]
