"""Failed attempts at secrets, counted in Valkey, or locally while it is down."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Sequence

from gateway.cache.client import ValkeyClient, ValkeyUnavailable
from gateway.domain.accounts.backoff import BackoffSubject, FailureTally

_MAX_LOCAL_SUBJECTS = 10_000

# The arithmetic is that of `domain.accounts.backoff`, made atomic for all workers by Valkey's clock. KEYS:
# subjects. ARGV: free attempts, first delay, max delay, decay (0: none), retention for each. Returns ms to
# wait, 0 if counted.
_RECORD = """
local t = redis.call('TIME')
local now = tonumber(t[1]) + tonumber(t[2]) / 1000000
local wait = 0
local tallies = {}
for i, key in ipairs(KEYS) do
  local stored = redis.call('HMGET', key, 'failures', 'at', 'until')
  tallies[i] = {tonumber(stored[1]) or 0, tonumber(stored[2]) or now}
  -- Never longer than the longest wait, even if the clock was set back.
  wait = math.max(wait, math.min((tonumber(stored[3]) or 0) - now, tonumber(ARGV[5 * i - 2])))
end
if wait > 0 then return math.ceil(wait * 1000) end
for i, key in ipairs(KEYS) do
  local free, first, longest = tonumber(ARGV[5 * i - 4]), tonumber(ARGV[5 * i - 3]), tonumber(ARGV[5 * i - 2])
  local leak, memory = tonumber(ARGV[5 * i - 1]), tonumber(ARGV[5 * i])
  local failures = tallies[i][1]
  if leak > 0 then failures = math.max(0, failures - math.max(0, now - tallies[i][2]) / leak) end
  failures = failures + 1
  local excess, wait_until = math.floor(failures + 0.5) - free, 0
  if excess >= 0 then wait_until = now + math.min(longest, first * 2 ^ math.min(excess, 30)) end
  redis.call('HSET', key, 'failures', string.format('%.6f', failures), 'at', string.format('%.6f', now),
             'until', string.format('%.6f', wait_until))
  redis.call('EXPIRE', key, memory)
end
return 0
"""
# ARGV: free. Subtract one failure; no wait while the count is within the free ones.
_FORGIVE = """
local failures = tonumber(redis.call('HGET', KEYS[1], 'failures'))
if failures then
  failures = math.max(0, failures - 1)
  redis.call('HSET', KEYS[1], 'failures', string.format('%.6f', failures))
  if math.floor(failures + 0.5) < tonumber(ARGV[1]) then redis.call('HSET', KEYS[1], 'until', '0') end
end
"""


class FailedAttemptStore:
    """Counts every attempt as a failure before it is made.

    Successful attempts are subtracted afterwards: `clear`, `forgive`.
    """

    def __init__(self, valkey: ValkeyClient, clock: Callable[[], float] = time.monotonic) -> None:
        self._valkey = valkey
        self._clock = clock
        self._tallies: OrderedDict[str, FailureTally] = OrderedDict()

    async def record(self, *subjects: BackoffSubject) -> float:
        """Record a failure for every subject, unless one of them has to wait.

        Returns:
            0.0 if recorded for all; otherwise the seconds to wait, and nothing was recorded.
        """
        arguments: list[str | int | float] = [_key(subject.name) for subject in subjects]
        for subject in subjects:
            rule = subject.policy
            arguments += [
                rule.free_attempts,
                rule.first_delay,
                rule.max_delay,
                rule.forgive_every or 0,
                rule.reset_after,
            ]
        try:
            wait = await self._valkey.execute("EVAL", _RECORD, len(subjects), *arguments)
        except ValkeyUnavailable:
            return self._record_locally(subjects)
        return float(wait) / 1000

    async def clear(self, subject: BackoffSubject) -> None:
        """Delete all failures of the subject."""
        self._tallies.pop(subject.name, None)
        await self._execute_best_effort("DEL", _key(subject.name))

    async def forgive(self, subject: BackoffSubject) -> None:
        """Subtract one attempt that was not a failure."""
        tally = self._tallies.get(subject.name)
        if tally is not None:
            tally.failures = max(0.0, tally.failures - 1)
            if not subject.policy.delay_after(tally.failures):
                tally.blocked_until = 0.0
        await self._execute_best_effort("EVAL", _FORGIVE, 1, _key(subject.name), subject.policy.free_attempts)

    async def _execute_best_effort(self, *command: str | int) -> None:
        try:
            await self._valkey.execute(*command)
        except ValkeyUnavailable:
            return  # the entry in Valkey expires by itself

    def _record_locally(self, subjects: Sequence[BackoffSubject]) -> float:
        now = self._clock()
        tallies = [self._tallies.get(subject.name) or FailureTally(updated_at=now) for subject in subjects]
        wait = max((tally.blocked_until - now for tally in tallies), default=0.0)
        if wait > 0:
            return wait
        for subject, tally in zip(subjects, tallies, strict=True):
            tally.add_failure(subject.policy, now)
            self._tallies[subject.name] = tally
            self._tallies.move_to_end(subject.name)
        while len(self._tallies) > _MAX_LOCAL_SUBJECTS:
            self._tallies.popitem(last=False)
        return 0.0


def _key(name: str) -> str:
    return f"attempts:{name}"
