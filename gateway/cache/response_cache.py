"""Answers in Valkey for the very same request, and the lease of whoever is making one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from gateway.cache.client import ValkeyClient, ValkeyUnavailable
from gateway.domain.config.caches import ExactCache

LEASE_MS = 5000  # renewed while its holder lives

# One hash per account, so that all of it can be dropped at once. A value is `<expiry in ms>:<answer>`.
# KEYS: entries, lease. ARGV: field, holder, lease in ms. The answer; 1: the lease is ours; 0: another's.
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
# KEYS: entries, lease. ARGV: field, holder, answer, ttl in ms, most entries. Of a full hash some few are
# looked at: those that have expired go, else the one that expires first.
_STORE = """
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
if redis.call('HLEN', KEYS[1]) >= tonumber(ARGV[5]) and redis.call('HEXISTS', KEYS[1], ARGV[1]) == 0 then
  local some = redis.call('HRANDFIELD', KEYS[1], 8, 'WITHVALUES')
  local first, expiry, gone = nil, math.huge, false
  for i = 1, #some, 2 do
    local till = tonumber(string.match(some[i + 1], '^%d+'))
    if till <= now then redis.call('HDEL', KEYS[1], some[i]) gone = true end
    if till < expiry then first, expiry = some[i], till end
  end
  if not gone then redis.call('HDEL', KEYS[1], first) end
end
redis.call('HSET', KEYS[1], ARGV[1], string.format('%.0f', now + tonumber(ARGV[4])) .. ':' .. ARGV[3])
redis.call('PEXPIRE', KEYS[1], ARGV[4])
if redis.call('GET', KEYS[2]) == ARGV[2] then redis.call('DEL', KEYS[2]) end
return 1
"""
# KEYS: lease. ARGV: holder, lease in ms (0: give it back).
_RENEW = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
if ARGV[2] == '0' then return redis.call('DEL', KEYS[1]) end
return redis.call('PEXPIRE', KEYS[1], ARGV[2])
"""


@dataclass(frozen=True, slots=True)
class CacheLookup:
    """What one look found: an answer, or whether the lease to make one is now the asker's."""

    answer: bytes | None = None
    has_lease: bool = False


class ResponseCache:
    """Every method is one round trip and raises `ValkeyUnavailable` where Valkey is away."""

    def __init__(self, valkey: ValkeyClient, config: ExactCache, *, lease_ms: int = LEASE_MS) -> None:
        self._valkey = valkey
        self._config = config
        self.lease_ms = lease_ms

    async def get_or_lease(self, account: UUID, key: bytes, holder: bytes) -> CacheLookup:
        """The answer kept under `key`; else take the lease to make it, unless somebody has it."""
        reply = await self._run(_GET_OR_LEASE, _entries(account), _lease(key), key, holder, self.lease_ms)
        if isinstance(reply, bytes):
            return CacheLookup(answer=reply)
        return CacheLookup(has_lease=reply == 1)

    async def store(self, account: UUID, key: bytes, holder: bytes, answer: bytes) -> None:
        """Store `answer`, if it is not too large, and give the lease back."""
        if len(answer) > self._config.max_bytes:
            await self.release(key, holder)
            return
        ttl_ms, most = self._config.ttl_seconds * 1000, self._config.max_entries
        await self._run(_STORE, _entries(account), _lease(key), key, holder, answer, ttl_ms, most)

    async def renew_lease(self, key: bytes, holder: bytes) -> bool:
        """Keep the lease for another while; False where it is no longer the holder's."""
        return bool(await self._valkey.execute("EVAL", _RENEW, 1, _lease(key), holder, self.lease_ms))

    async def release(self, key: bytes, holder: bytes) -> None:
        """Let another one make the answer."""
        await self._valkey.execute("EVAL", _RENEW, 1, _lease(key), holder, 0)

    async def delete_account(self, account: UUID) -> None:
        """Drop all that is kept of an account; what cannot be dropped now expires by itself."""
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
