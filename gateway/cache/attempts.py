"""Attempts at a secret, counted in Valkey, and in this process where Valkey is away."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Sequence

from gateway.cache.client import ValkeyClient, ValkeyUnavailable
from gateway.domain.attempts import Subject, Tally

_REMEMBERED = 10_000  # subjects of the local path

# The arithmetic is that of `domain.attempts`; here it is atomic for all workers, by Valkey's one clock.
# KEYS: subjects. ARGV: free, first, most, leak (0: none), memory for each. Returns ms to wait, 0 if counted.
_BEGIN = """
local t = redis.call('TIME')
local now = tonumber(t[1]) + tonumber(t[2]) / 1000000
local wait = 0
local tallies = {}
for i, key in ipairs(KEYS) do
  local kept = redis.call('HMGET', key, 'failures', 'at', 'until')
  tallies[i] = {tonumber(kept[1]) or 0, tonumber(kept[2]) or now}
  -- Never longer than the longest wait, though the clock be set back.
  wait = math.max(wait, math.min((tonumber(kept[3]) or 0) - now, tonumber(ARGV[5 * i - 2])))
end
if wait > 0 then return math.ceil(wait * 1000) end
for i, key in ipairs(KEYS) do
  local free, first, most = tonumber(ARGV[5 * i - 4]), tonumber(ARGV[5 * i - 3]), tonumber(ARGV[5 * i - 2])
  local leak, memory = tonumber(ARGV[5 * i - 1]), tonumber(ARGV[5 * i])
  local failures = tallies[i][1]
  if leak > 0 then failures = math.max(0, failures - math.max(0, now - tallies[i][2]) / leak) end
  failures = failures + 1
  local beyond, till = math.floor(failures + 0.5) - free, 0
  if beyond >= 0 then till = now + math.min(most, first * 2 ^ math.min(beyond, 30)) end
  redis.call('HSET', key, 'failures', string.format('%.6f', failures), 'at', string.format('%.6f', now),
             'until', string.format('%.6f', till))
  redis.call('EXPIRE', key, memory)
end
return 0
"""
# ARGV: free. One failure less, and no wait within the free ones.
_REFUND = """
local failures = tonumber(redis.call('HGET', KEYS[1], 'failures'))
if failures then
  failures = math.max(0, failures - 1)
  redis.call('HSET', KEYS[1], 'failures', string.format('%.6f', failures))
  if math.floor(failures + 0.5) < tonumber(ARGV[1]) then redis.call('HSET', KEYS[1], 'until', '0') end
end
"""


class Attempts:
    """Counts each attempt as a failure before it is made, so that no number of them at once slips through.

    Whoever turns out to be right has it taken back: `clear`, `refund`.
    """

    def __init__(self, valkey: ValkeyClient, clock: Callable[[], float] = time.monotonic) -> None:
        self._valkey = valkey
        self._clock = clock
        self._tallies: OrderedDict[str, Tally] = OrderedDict()

    async def begin(self, *subjects: Subject) -> float:
        """0.0 and counted with every subject; else the seconds to wait, and counted with none."""
        arguments: list[str | int | float] = [_key(subject.name) for subject in subjects]
        for subject in subjects:
            rule = subject.allowance
            arguments += [rule.free, rule.first, rule.most, rule.leak or 0, rule.memory]
        try:
            wait = await self._valkey.execute("EVAL", _BEGIN, len(subjects), *arguments)
        except ValkeyUnavailable:
            return self._begin_here(subjects)
        return float(wait) / 1000

    async def clear(self, subject: Subject) -> None:
        """Forgets all failures of the subject."""
        self._tallies.pop(subject.name, None)
        await self._try("DEL", _key(subject.name))

    async def refund(self, subject: Subject) -> None:
        """Takes back one attempt that was no failure."""
        tally = self._tallies.get(subject.name)
        if tally is not None:
            tally.failures = max(0.0, tally.failures - 1)
            if not subject.allowance.wait(tally.failures):
                tally.until = 0.0
        await self._try("EVAL", _REFUND, 1, _key(subject.name), subject.allowance.free)

    async def _try(self, *command: str | int) -> None:
        try:
            await self._valkey.execute(*command)
        except ValkeyUnavailable:
            return  # what Valkey holds of it dies by itself

    def _begin_here(self, subjects: Sequence[Subject]) -> float:
        now = self._clock()
        tallies = [self._tallies.get(subject.name) or Tally(at=now) for subject in subjects]
        wait = max((tally.until - now for tally in tallies), default=0.0)
        if wait > 0:
            return wait
        for subject, tally in zip(subjects, tallies, strict=True):
            tally.count(subject.allowance, now)
            self._tallies[subject.name] = tally
            self._tallies.move_to_end(subject.name)
        while len(self._tallies) > _REMEMBERED:
            self._tallies.popitem(last=False)
        return 0.0


def _key(name: str) -> str:
    return f"attempts:{name}"
