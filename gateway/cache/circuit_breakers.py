"""The circuit breakers that all workers share: a hash in Valkey, changed by one script, told to everybody."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Literal

from gateway.cache.client import ValkeyClient
from gateway.domain.circuit_breaker import CLOSED, BreakerEvent, BreakerState, SharedBreakerState
from gateway.domain.config.resilience import CircuitBreakerConfig

KEY = "breakers"
# What they have done, the newest first.
HISTORY = "breakers:history"
MAX_HISTORY = 500
CHANNEL = "gateway:breakers"
# A worker that dies during a probe blocks the next one for so long; one that lives renews its probe.
LEASE_SECONDS = 15.0

BreakerAction = Literal["fail", "succeed", "probe", "release", "renew"]
_STATES: tuple[BreakerState, ...] = ("closed", "open", "half_open")

# Valkey's clock is the one that counts; what leaves here are durations.
_LUA_HELPERS = """
local function shown(b, now)
  if b.opened == 0 then return 0, 0 end
  if now < b.retry then return 1, b.retry - now end
  if b.probe ~= '' and now < b.lease then return 2, b.lease - now end
  return 2, 0
end
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local function read(raw)
  local fine, b = pcall(cjson.decode, raw or '')
  if fine and type(b) == 'table' and b.failures and b.opened and b.retry and b.probe and b.lease then
    -- Opened in the future: the clock was set back since. Probed early is better than left alone for long.
    if b.opened > now then b.opened, b.retry, b.probe, b.lease = now, now, '', 0 end
    return b
  end
  return {failures = 0, opened = 0, retry = 0, probe = '', lease = 0}
end
"""
# KEYS: the hash, the history. ARGV: act, upstream, token, failures until open, reset ms, lease ms, TTL in s,
# channel, entries of history that are kept.
# Returns {1 if it opened or the probe is granted, failures, state, ms to wait, opened at (ms)}.
_APPLY = (
    _LUA_HELPERS
    + """
local act, upstream, token = ARGV[1], ARGV[2], ARGV[3]
local b = read(redis.call('HGET', KEYS[1], upstream))
local mine = token ~= '' and token == b.probe
local done, changed = 0, false
local function note(event)
  redis.call('LPUSH', KEYS[2], cjson.encode({at = now, upstream = upstream, event = event}))
  redis.call('LTRIM', KEYS[2], 0, ARGV[9] - 1)
end
if act == 'fail' and (b.opened == 0 or mine) then
  changed = true
  if b.opened == 0 then b.failures = b.failures + 1 end
  if b.opened > 0 or b.failures >= tonumber(ARGV[4]) then
    note(b.opened > 0 and 'reopened' or 'opened')
    b.opened, b.retry, b.probe, b.lease, done = now, now + tonumber(ARGV[5]), '', 0, 1
  end
elseif act == 'succeed' and (b.opened == 0 or mine) then
  changed = b.failures > 0
  if b.opened > 0 then note('closed') end
  b = read(nil)
elseif act == 'probe' and b.opened > 0 and now >= b.retry and (b.probe == '' or now >= b.lease) then
  b.probe, b.lease, done, changed = token, now + tonumber(ARGV[6]), 1, true
elseif act == 'release' and mine then
  b.probe, b.lease, changed = '', 0, true
elseif act == 'renew' and mine then
  b.lease, changed = now + tonumber(ARGV[6]), true
end
local state, wait = shown(b, now)
if changed then
  if b.failures == 0 then
    redis.call('HDEL', KEYS[1], upstream)
  else
    redis.call('HSET', KEYS[1], upstream, cjson.encode(b))
    redis.call('EXPIRE', KEYS[1], ARGV[7])
  end
  redis.call('PUBLISH', ARGV[8], '')
end
return {done, b.failures, state, wait, b.opened}
"""
)
# KEYS: the hash. Returns a list of {upstream, failures, state, ms to wait, opened at (ms)}.
_READ = (
    _LUA_HELPERS
    + """
local found = {}
local all = redis.call('HGETALL', KEYS[1])
for i = 1, #all, 2 do
  local b = read(all[i + 1])
  local state, wait = shown(b, now)
  found[#found + 1] = {all[i], b.failures, state, wait, b.opened}
end
return found
"""
)


@dataclass(frozen=True, slots=True)
class ApplyResult:
    """`done`: the failure opened the breaker, or the probe is granted; `breaker` as it then is."""

    took_effect: bool
    breaker: SharedBreakerState


class CircuitBreakerStore:
    """Each act is one round trip; an upstream is named by any text that says provider and model.

    Every method raises ValkeyUnavailable.
    """

    def __init__(
        self, valkey: ValkeyClient, rule: CircuitBreakerConfig, *, lease_seconds: float = LEASE_SECONDS
    ) -> None:
        self._valkey = valkey
        self._rule = rule
        self._lease = lease_seconds
        self._ttl_seconds = max(3600, int(rule.reset_seconds * 2))

    @property
    def configured(self) -> bool:
        return self._valkey.configured

    @property
    def available(self) -> bool:
        """Whether an act would be tried at all."""
        return self._valkey.available

    async def apply(self, action: BreakerAction, upstream: str, token: str | None = None) -> ApplyResult:
        """Tell of a call's end, or ask for, give back or prolong a probe by its token."""
        rule = self._rule
        reply = await self._valkey.execute(
            *("EVAL", _APPLY, 2, KEY, HISTORY, action, upstream, token or "", rule.failures),
            *(
                int(rule.reset_seconds * 1000),
                int(self._lease * 1000),
                self._ttl_seconds,
                CHANNEL,
                MAX_HISTORY,
            ),
        )
        return ApplyResult(bool(reply[0]), _to_breaker(reply[1:]))

    async def read(self) -> dict[str, SharedBreakerState]:
        """All that is known, by upstream."""
        rows = await self._valkey.execute("EVAL", _READ, 1, KEY)
        return {row[0].decode("utf-8", "replace"): _to_breaker(row[1:]) for row in rows}

    async def history(self, limit: int) -> list[tuple[float, str, BreakerEvent]]:
        """When (seconds since the epoch) which upstream did what, the newest first; `KEPT` at most."""
        entries = [json.loads(entry) for entry in await self._valkey.execute("LRANGE", HISTORY, 0, limit - 1)]
        return [(one["at"] / 1000, one["upstream"], one["event"]) for one in entries]

    async def changes(self) -> AsyncGenerator[None, None]:
        """A tick with every change from now on; what changes while Valkey is away is not told.

        What changed is to be read: a channel belongs to all numbered databases of a server, and gateways.
        """
        async with aclosing(self._valkey.subscribe_once(CHANNEL)) as messages:
            async for _ in messages:
                yield


def _to_breaker(row: list[Any]) -> SharedBreakerState:
    failures, state, wait, opened = (int(value) for value in row)
    if not state:
        return SharedBreakerState(failures=failures) if failures else CLOSED
    return SharedBreakerState(failures, _STATES[state], wait / 1000, opened / 1000)
