"""What every request has to know of its caller, kept in Valkey; PostgreSQL is the truth.

An entry is written only where none is (`NX`), and a change leaves an empty one behind for a while: a reader
that asked PostgreSQL just before the change cannot then store what it saw. Entries live for a minute, which
bounds what a change can be hidden by if Valkey cannot be told of it.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from hashlib import blake2b
from uuid import UUID

import orjson
from redis.asyncio import Redis

from gateway.cache.client import ValkeyClient, ValkeyUnavailable
from gateway.cache.rate_limit import CountResult, RateLimiter
from gateway.domain.accounts.models import AccountState, ApiKeyGrant
from gateway.domain.usage.budgets import RateCategory

_TTL = 60  # seconds an entry lives
_TOMBSTONE_TTL = 10  # longer than a read of PostgreSQL and the write after it can lie apart
_MAX_KEY_OWNERS = 10_000  # keys whose owner is remembered
# An entry that another version of the gateway wrote in another form is none.
_DECODE_ERRORS = (ValueError, TypeError, AttributeError)


class AuthCache:
    """Account states, live sessions and API keys; every method is one round trip and survives an outage.

    A read counts the caller's request at the same time, if it finds the credential to be good; `Counted` says
    whether it did. Where Valkey is away, reads find nothing. What could not be forgotten then is remembered
    here as owed: it is not read by this process, and forgotten as soon as Valkey is back.
    """

    def __init__(self, valkey: ValkeyClient, limiter: RateLimiter) -> None:
        self._valkey = valkey
        self._limiter = limiter
        self._pending_invalidations: dict[str, float] = {}
        # Whose a key is never changes, so that both entries can be asked for at once.
        self._key_owners: OrderedDict[bytes, UUID] = OrderedDict()

    async def get_session(
        self, user_id: UUID, session_id: UUID, version: int, counts: RateCategory = "read"
    ) -> tuple[AccountState, bool, CountResult] | None:
        """The account's state and whether its session lives; None where either is not known.

        The request is counted if the session lives, the account is active and of this token version.
        """
        names = _account_entry(user_id), _session_entry(session_id)
        read = await self._read("session", *names, version, user_id, counts=counts)
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
        """What the key allows and its owner's state; None where either is not known.

        The request is counted if the key has not expired and its owner is active.
        """
        owner = self._key_owners.get(key_hash)
        if owner is None:
            return None
        read = await self._read(
            "key", _account_entry(owner), _key_entry(key_hash), owner.hex, owner, key_hash
        )
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
        """To be called after whatever changes an account's role, tier, status, version or existence."""
        await self._invalidate(_account_entry(user_id))

    async def invalidate_sessions(self, *session_ids: UUID) -> None:
        """To be called after sessions have been ended."""
        await self._invalidate(*map(_session_entry, session_ids))

    async def invalidate_key(self, key_hash: bytes) -> None:
        """To be called after a key has been revoked."""
        await self._invalidate(_key_entry(key_hash))

    async def _read(
        self,
        kind: str,
        account: str,
        other: str,
        claim: str | int,
        user_id: UUID,
        key: bytes = b"",
        counts: RateCategory = "turn",
    ) -> tuple[bytes | None, bytes | None, CountResult] | None:
        if self._pending_invalidations:
            await self._send_invalidations()
            if not self._pending_invalidations.keys().isdisjoint((account, other)):
                return None
        try:
            return await self._limiter.read_and_count(kind, account, other, claim, user_id, key, counts)
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
            return  # a cache: the next request asks PostgreSQL again

    async def _invalidate(self, *names: str) -> None:
        if not names:
            return
        # Owed before it is tried: a cancelled call must not leave an old entry behind.
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

        async def bury(redis: Redis) -> None:
            pipeline = redis.pipeline(transaction=False)
            for name in names:
                pipeline.set(name, b"", ex=_TOMBSTONE_TTL)
            await pipeline.execute()

        try:
            await self._valkey.run(bury)
        except ValkeyUnavailable:
            return  # still owed
        for name in names:
            self._pending_invalidations.pop(name, None)


def _account_entry(user_id: UUID) -> str:
    # Not the id itself: a deleted account's empty entry must not keep it for another ten seconds.
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
