"""Authentication cache in Valkey; PostgreSQL is the source of truth.

An entry is written only if there is none (`NX`), and a change leaves a tombstone for a while: a reader that
queried PostgreSQL just before the change cannot store what it saw. Entries live for a minute, which bounds
how long a change stays invisible while Valkey is unreachable.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from hashlib import blake2b
from uuid import UUID

import orjson
from redis.asyncio import Redis

from gateway.cache.client import ValkeyClient, ValkeyUnavailable
from gateway.cache.rate_limit import CountResult, CredentialClaim, RateLimiter
from gateway.domain.accounts.models import AccountState, ApiKeyGrant
from gateway.domain.usage.budgets import RateCategory

_TTL = 60  # seconds an entry lives
_TOMBSTONE_TTL = 10  # longer than the time between a read of PostgreSQL and the write that follows it
_MAX_KEY_OWNERS = 10_000
# Entries that another version of the gateway wrote in another format are ignored.
_DECODE_ERRORS = (ValueError, TypeError, AttributeError)


class AuthCache:
    """Account states, active sessions and API keys; every method is one round trip.

    Every method works without Valkey: reads then find nothing. A read also counts the caller's request if the
    credential is valid; `CountResult` says whether it did. An invalidation that could not be sent is
    remembered here: this process ignores the entry, and sends the invalidation once Valkey is reachable.
    """

    def __init__(self, valkey: ValkeyClient, limiter: RateLimiter) -> None:
        self._valkey = valkey
        self._limiter = limiter
        self._pending_invalidations: dict[str, float] = {}
        # A key's owner never changes, so both entries can be read in one round trip.
        self._key_owners: OrderedDict[bytes, UUID] = OrderedDict()

    async def get_session(
        self, user_id: UUID, session_id: UUID, version: int, rate_category: RateCategory = "read"
    ) -> tuple[AccountState, bool, CountResult] | None:
        """Return the account's state and whether the session is active; None if unknown.

        The request is counted if the session is active, the account is active and has this token version.
        """
        names = _account_entry(user_id), _session_entry(session_id)
        read = await self._read(
            CredentialClaim("session", *names, version, user_id, rate_category=rate_category)
        )
        if read is None:
            return None
        account, session, counted = read
        state = _decode_state(account)
        if state is None or session not in (b"0", b"1"):
            return None
        return state, session == b"1", counted

    async def store_session(
        self, user_id: UUID, session_id: UUID, state: AccountState, is_live: bool
    ) -> None:
        await self._store(
            {
                _account_entry(user_id): _encode_state(state),
                _session_entry(session_id): b"1" if is_live else b"0",
            }
        )

    async def get_key(self, key_hash: bytes) -> tuple[ApiKeyGrant, AccountState, CountResult] | None:
        """Return the key's grant and its owner's state; None if either is unknown.

        The request is counted if the key has not expired and its owner is active.
        """
        owner = self._key_owners.get(key_hash)
        if owner is None:
            return None
        names = _account_entry(owner), _key_entry(key_hash)
        read = await self._read(CredentialClaim("key", *names, owner.hex, owner, key_hash))
        if read is None:
            return None
        account, key, counted = read
        grant, state = _decode_grant(key), _decode_state(account)
        if grant is None or state is None or grant.user_id != owner:
            return None
        return grant, state, counted

    async def store_key(self, key_hash: bytes, grant: ApiKeyGrant, state: AccountState) -> None:
        self._key_owners[key_hash] = grant.user_id
        if len(self._key_owners) > _MAX_KEY_OWNERS:
            self._key_owners.popitem(last=False)
        await self._store(
            {_key_entry(key_hash): _encode_grant(grant), _account_entry(grant.user_id): _encode_state(state)}
        )

    async def invalidate_account(self, user_id: UUID) -> None:
        """Invalidate an account after a change of role, tier, status or token version."""
        await self._invalidate(_account_entry(user_id))

    async def invalidate_sessions(self, *session_ids: UUID) -> None:
        """Invalidate sessions after they were revoked."""
        await self._invalidate(*map(_session_entry, session_ids))

    async def invalidate_key(self, key_hash: bytes) -> None:
        """Invalidate a key after it was revoked."""
        await self._invalidate(_key_entry(key_hash))

    async def _read(
        self, credential: CredentialClaim
    ) -> tuple[bytes | None, bytes | None, CountResult] | None:
        if self._pending_invalidations:
            await self._send_invalidations()
            if not self._pending_invalidations.keys().isdisjoint(
                (credential.account_entry, credential.other_entry)
            ):
                return None
        try:
            return await self._limiter.read_and_count(credential)
        except ValkeyUnavailable:
            return None

    async def _store(self, entries: dict[str, bytes]) -> None:
        if not self._pending_invalidations.keys().isdisjoint(entries):
            return

        async def store(redis: Redis) -> None:
            pipeline = redis.pipeline(transaction=False)
            for name, value in entries.items():
                pipeline.set(name, value, ex=_TTL, nx=True)
            await pipeline.execute()

        try:
            await self._valkey.run(store)
        except ValkeyUnavailable:
            return  # the next request reads PostgreSQL again

    async def _invalidate(self, *names: str) -> None:
        if not names:
            return
        # Remembered before it is sent, so that a cancelled call leaves no stale entry.
        until = time.monotonic() + _TTL
        self._pending_invalidations.update(dict.fromkeys(names, until))
        await self._send_invalidations()

    async def _send_invalidations(self) -> None:
        now = time.monotonic()
        self._pending_invalidations = {
            name: until for name, until in self._pending_invalidations.items() if until > now
        }
        names = list(self._pending_invalidations)
        if not names:
            return

        async def write_tombstones(redis: Redis) -> None:
            pipeline = redis.pipeline(transaction=False)
            for name in names:
                pipeline.set(name, b"", ex=_TOMBSTONE_TTL)
            await pipeline.execute()

        try:
            await self._valkey.run(write_tombstones)
        except ValkeyUnavailable:
            return  # still pending
        for name in names:
            self._pending_invalidations.pop(name, None)


def _account_entry(user_id: UUID) -> str:
    # A hash, because the tombstone of a deleted account must not contain its id.
    return f"auth:account:{blake2b(user_id.bytes, digest_size=16).hexdigest()}"


def _session_entry(session_id: UUID) -> str:
    return f"auth:session:{session_id.hex}"


def _key_entry(key_hash: bytes) -> str:
    return f"auth:key:{key_hash.hex()}"


def _encode_state(state: AccountState) -> bytes:
    return orjson.dumps([state.role, state.tier, state.status, state.token_version])


def _decode_state(raw: bytes | None) -> AccountState | None:
    if not raw:
        return None
    try:
        role, tier, status, version = orjson.loads(raw)
    except _DECODE_ERRORS:
        return None
    return AccountState(role=role, tier=tier, status=status, token_version=version)


def _encode_grant(grant: ApiKeyGrant) -> bytes:
    return orjson.dumps(
        [
            grant.key_id.hex,
            grant.user_id.hex,
            sorted(grant.scopes),
            None if grant.models is None else sorted(grant.models),
            grant.requests_per_minute,
            grant.expires_at,
        ]
    )


def _decode_grant(raw: bytes | None) -> ApiKeyGrant | None:
    if not raw:
        return None
    try:
        key_id, user_id, scopes, models, limit, expires_at = orjson.loads(raw)
        return ApiKeyGrant(
            key_id=UUID(key_id),
            user_id=UUID(user_id),
            scopes=frozenset(scopes),
            models=None if models is None else frozenset(models),
            requests_per_minute=limit,
            expires_at=expires_at,
        )
    except _DECODE_ERRORS:
        return None
