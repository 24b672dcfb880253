"""Cached responses to identical requests, and leases for computing them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from gateway.cache.client import ValkeyClient, ValkeyUnavailable
from gateway.domain.config.caches import ExactCache

LEASE_MS = 5000  # renewed by its holder

# One hash per account, so that an account's entries can be deleted at once. Value: `<expiry in ms>:<answer>`.
# KEYS: entries, lease. ARGV: field, holder, lease in ms. Returns the answer; 1 if the lease was acquired;
# else 0.
_GET_OR_LEASE = """
local found = redis.call('HGET', KEYS[1], ARGV[1])
if found then
  local t = redis.call('TIME')
  local colon = string.find(found, ':', 1, true)
  if tonumber(string.sub(found, 1, colon - 1)) > t[1] * 1000 + t[2] / 1000 then
    return string.sub(found, colon + 1)
  end
  redis.call('HDEL', KEYS[1], ARGV[1])
end
if redis.call('SET', KEYS[2], ARGV[2], 'NX', 'PX', ARGV[3]) then return 1 end
return 0
"""
# KEYS: entries, lease. ARGV: field, holder, answer, ttl in ms, maximum entries. Of a full hash, a few random
# entries are inspected: the expired ones are deleted, otherwise the one that expires soonest.
_STORE = """
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
if redis.call('HLEN', KEYS[1]) >= tonumber(ARGV[5]) and redis.call('HEXISTS', KEYS[1], ARGV[1]) == 0 then
  local sample = redis.call('HRANDFIELD', KEYS[1], 8, 'WITHVALUES')
  local soonest, soonest_expiry, deleted = nil, math.huge, false
  for i = 1, #sample, 2 do
    local expires = tonumber(string.match(sample[i + 1], '^%d+'))
    if expires <= now then redis.call('HDEL', KEYS[1], sample[i]) deleted = true end
    if expires < soonest_expiry then soonest, soonest_expiry = sample[i], expires end
  end
  if not deleted then redis.call('HDEL', KEYS[1], soonest) end
end
redis.call('HSET', KEYS[1], ARGV[1], string.format('%.0f', now + tonumber(ARGV[4])) .. ':' .. ARGV[3])
redis.call('PEXPIRE', KEYS[1], ARGV[4])
if redis.call('GET', KEYS[2]) == ARGV[2] then redis.call('DEL', KEYS[2]) end
return 1
"""
# KEYS: lease. ARGV: holder, lease in ms (0: release it).
_RENEW = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
if ARGV[2] == '0' then return redis.call('DEL', KEYS[1]) end
return redis.call('PEXPIRE', KEYS[1], ARGV[2])
"""


@dataclass(frozen=True, slots=True)
class CacheLookup:
    """Result of a lookup: a cached answer, or whether the caller now holds the lease."""

    answer: bytes | None = None
    has_lease: bool = False


class ResponseCache:
    """Exact response cache. Every method is one round trip.

    All methods but `delete_account` raise `ValkeyUnavailable`.
    """

    def __init__(self, valkey: ValkeyClient, config: ExactCache, *, lease_ms: int = LEASE_MS) -> None:
        self._valkey = valkey
        self._config = config
        self.lease_ms = lease_ms

    async def get_or_lease(self, account: UUID, key: bytes, holder: bytes) -> CacheLookup:
        """Return the answer cached under `key`, or acquire the lease to compute it."""
        reply = await self._run(_GET_OR_LEASE, _entries(account), _lease(key), key, holder, self.lease_ms)
        if isinstance(reply, bytes):
            return CacheLookup(answer=reply)
        return CacheLookup(has_lease=reply == 1)

    async def store(self, account: UUID, key: bytes, holder: bytes, answer: bytes) -> None:
        """Store `answer` unless it is too large, and release the lease."""
        if len(answer) > self._config.max_bytes:
            await self.release(key, holder)
            return
        ttl_ms, max_entries = self._config.ttl_seconds * 1000, self._config.max_entries
        await self._run(_STORE, _entries(account), _lease(key), key, holder, answer, ttl_ms, max_entries)

    async def renew_lease(self, key: bytes, holder: bytes) -> bool:
        """Renew the lease; False if it is no longer held by `holder`."""
        return bool(await self._valkey.execute("EVAL", _RENEW, 1, _lease(key), holder, self.lease_ms))

    async def release(self, key: bytes, holder: bytes) -> None:
        """Release the lease, so that another caller can compute the answer."""
        await self._valkey.execute("EVAL", _RENEW, 1, _lease(key), holder, 0)

    async def delete_account(self, account: UUID) -> None:
        """Delete an account's entries; if that fails now, they expire by themselves."""
        try:
            await self._valkey.execute("UNLINK", _entries(account))
        except ValkeyUnavailable:
            return

    async def _run(self, script: str, *arguments: str | bytes | int) -> Any:
        return await self._valkey.execute("EVAL", script, 2, *arguments)


def _entries(account: UUID) -> str:
    return f"answers:{account.hex}"


def _lease(key: bytes) -> str:
    return f"answering:{key.hex()}"
