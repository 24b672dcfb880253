"""Circuit breakers shared by all workers, updated by one script in Valkey."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from gateway.cache.client import ValkeyClient
from gateway.cache.pubsub import CHANNELS, PubSub
from gateway.domain.circuit_breaker import CLOSED, BreakerEvent, BreakerState, SharedBreakerState
from gateway.domain.config.resilience import CircuitBreakerConfig

KEY = "breakers"
# Events of all breakers, newest first.
HISTORY = "breakers:history"
MAX_HISTORY = 500
CHANNEL = CHANNELS["breakers"]
# Lease of a probe. The worker that probes renews it; if the worker dies, the next probe waits this long.
LEASE_SECONDS = 15.0

BreakerAction = Literal["fail", "succeed", "probe", "release", "renew"]
_STATES: tuple[BreakerState, ...] = ("closed", "open", "half_open")

# All times are Valkey's; callers only see durations.
_LUA_HELPERS = """
local function visible_state(b, now)
  if b.opened == 0 then return 0, 0 end
  if now < b.retry then return 1, b.retry - now end
  if b.probe ~= '' and now < b.lease then return 2, b.lease - now end
  return 2, 0
end
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local function read(raw)
  local ok, b = pcall(cjson.decode, raw or '')
  if ok and type(b) == 'table' and b.failures and b.opened and b.retry and b.probe and b.lease then
    -- Opened in the future: the clock was set back since. Better to probe early than to stay open for long.
    if b.opened > now then b.opened, b.retry, b.probe, b.lease = now, now, '', 0 end
    return b
  end
  return {failures = 0, opened = 0, retry = 0, probe = '', lease = 0}
end
"""
# KEYS: the hash, the history. ARGV: action, upstream, token, failures until open, reset ms, lease ms, TTL in
# s, channel, length of the history. Returns {1 if it opened or the probe is granted, failures, state, ms to
# wait, opened at (ms)}.
_APPLY = (
    _LUA_HELPERS
    + """
local action, upstream, token = ARGV[1], ARGV[2], ARGV[3]
local b = read(redis.call('HGET', KEYS[1], upstream))
local holds_probe = token ~= '' and token == b.probe
local took_effect, changed = 0, false
local function add_to_history(event)
  redis.call('LPUSH', KEYS[2], cjson.encode({at = now, upstream = upstream, event = event}))
  redis.call('LTRIM', KEYS[2], 0, ARGV[9] - 1)
end
if action == 'fail' and (b.opened == 0 or holds_probe) then
  changed = true
  if b.opened == 0 then b.failures = b.failures + 1 end
  if b.opened > 0 or b.failures >= tonumber(ARGV[4]) then
    add_to_history(b.opened > 0 and 'reopened' or 'opened')
    b.opened, b.retry, b.probe, b.lease, took_effect = now, now + tonumber(ARGV[5]), '', 0, 1
  end
elseif action == 'succeed' and (b.opened == 0 or holds_probe) then
  changed = b.failures > 0
  if b.opened > 0 then add_to_history('closed') end
  b = read(nil)
elseif action == 'probe' and b.opened > 0 and now >= b.retry and (b.probe == '' or now >= b.lease) then
  b.probe, b.lease, took_effect, changed = token, now + tonumber(ARGV[6]), 1, true
elseif action == 'release' and holds_probe then
  b.probe, b.lease, changed = '', 0, true
elseif action == 'renew' and holds_probe then
  b.lease, changed = now + tonumber(ARGV[6]), true
end
local state, wait = visible_state(b, now)
if changed then
  if b.failures == 0 then
    redis.call('HDEL', KEYS[1], upstream)
  else
    redis.call('HSET', KEYS[1], upstream, cjson.encode(b))
    redis.call('EXPIRE', KEYS[1], ARGV[7])
  end
  redis.call('PUBLISH', ARGV[8], '')
end
return {took_effect, b.failures, state, wait, b.opened}
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
  local state, wait = visible_state(b, now)
  found[#found + 1] = {all[i], b.failures, state, wait, b.opened}
end
return found
"""
)


@dataclass(frozen=True, slots=True)
class ApplyResult:
    """Result of an action.

    `took_effect`: the failure opened the breaker, or the probe was granted. `breaker` is the state
    afterwards.
    """

    took_effect: bool
    breaker: SharedBreakerState


class CircuitBreakerStore:
    """Shared circuit breakers; each action is one round trip.

    An upstream is identified by any text that names provider and model. Every method raises
    ValkeyUnavailable.
    """

    def __init__(
        self,
        valkey: ValkeyClient,
        pubsub: PubSub,
        rule: CircuitBreakerConfig,
        *,
        lease_seconds: float = LEASE_SECONDS,
    ) -> None:
        self._valkey = valkey
        self._pubsub = pubsub
        self._rule = rule
        self._lease = lease_seconds
        self._ttl_seconds = max(3600, int(rule.reset_seconds * 2))

    @property
    def configured(self) -> bool:
        return self._valkey.configured

    @property
    def available(self) -> bool:
        """Whether an action would be attempted at all."""
        return self._valkey.available

    async def apply(self, action: BreakerAction, upstream: str, token: str | None = None) -> ApplyResult:
        """Record the result of a call, or request, release or renew a probe by its token."""
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
        """Return all known breakers by upstream."""
        rows = await self._valkey.execute("EVAL", _READ, 1, KEY)
        return {row[0].decode("utf-8", "replace"): _to_breaker(row[1:]) for row in rows}

    async def history(self, limit: int) -> list[tuple[float, str, BreakerEvent]]:
        """Return (seconds since the epoch, upstream, event), newest first.

        At most `MAX_HISTORY` entries are stored.
        """
        entries = [json.loads(entry) for entry in await self._valkey.execute("LRANGE", HISTORY, 0, limit - 1)]
        return [(one["at"] / 1000, one["upstream"], one["event"]) for one in entries]

    def on_change(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Call `callback` at every change of a breaker, except while Valkey is down."""
        return self._pubsub.subscribe("breakers", lambda _: callback())


def _to_breaker(row: list[Any]) -> SharedBreakerState:
    failures, state, wait, opened = (int(value) for value in row)
    if not state:
        return SharedBreakerState(failures=failures) if failures else CLOSED
    return SharedBreakerState(failures, _STATES[state], wait / 1000, opened / 1000)
