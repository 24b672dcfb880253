"""Who is calling: from a request's headers to a principal, with one round trip to Valkey."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Literal, cast

from gateway.cache.auth_cache import AuthCache
from gateway.cache.rate_limit import NOT_COUNTED, RateLimiter
from gateway.core.api_key_format import PREFIX, hash_api_key, hash_secret, is_well_formed
from gateway.core.exceptions import (
    AccountDisabled,
    AuthenticationFailed,
    InvalidApiKey,
    RateLimited,
    TokenInvalid,
)
from gateway.core.tokens import AccessTokens
from gateway.domain.account import AccountState
from gateway.domain.budget import Allowance, Counts
from gateway.domain.principal import Principal
from gateway.repositories.unit_of_work import UnitOfWork
from gateway.services.environment_keys import EnvironmentKeys
from gateway.services.last_use import LastUse


class Authenticator:
    """Checks access tokens and API keys against the account's and the session's present state.

    What it lets in is counted against the account's limits a minute; `admit` is what refuses by them, so
    that the caller is known by then.
    """

    def __init__(
        self,
        uow: Callable[[], UnitOfWork],
        cache: AuthCache,
        tokens: AccessTokens,
        limiter: RateLimiter,
        given: EnvironmentKeys,
    ) -> None:
        self._uow = uow
        self._cache = cache
        self._tokens = tokens
        self._limiter = limiter
        self._given = given
        self._last_use = LastUse(uow)

    async def authenticate(self, headers: Mapping[str, str], counts: Counts = "read") -> Principal:
        """The caller of a request with these headers (lower-case names); a bearer goes before `x-api-key`.

        `counts` is what the request counts as for a signed-in person; with an API key it counts as a turn.

        Raises:
            AuthenticationFailed: no credential. TokenExpired, TokenInvalid, InvalidApiKey: a bad one.
            AccountDisabled: a good one, of an account that may not use it.
            Unavailable: neither Valkey nor PostgreSQL can tell.
        """
        scheme, _, credential = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            credential = credential.strip()
            if credential.startswith(PREFIX) or self._given.known(credential):
                return await self._service(credential)
            if credential:
                return await self._person(credential, counts)
        if api_key := headers.get("x-api-key"):
            return await self._service(api_key.strip())
        raise AuthenticationFailed

    def admit(self, principal: Principal) -> None:
        """Raises RateLimited where the request is one too many for this minute."""
        window = principal.allowance.requests
        if window is not None and window.wait is not None:
            raise RateLimited(f"{window.limit} requests a minute is the limit.", retry_after=window.wait)

    async def aclose(self) -> None:
        """Waits for what is still being noted."""
        await self._last_use.aclose()

    async def _person(self, token: str, counts: Counts) -> Principal:
        claims = self._tokens.verify(token)
        user_id, session_id = claims.user_id, claims.session_id
        known = await self._cache.session(user_id, session_id, claims.version, counts)
        if known is None:
            async with self._uow() as uow:
                found = await uow.users.session_state(user_id, session_id)
            if found is None:
                raise TokenInvalid
            await self._cache.keep_session(user_id, session_id, *found)
            known = (*found, NOT_COUNTED)
        state, lives, counted = known
        if not lives or claims.version != state.token_version:
            raise TokenInvalid("This session has ended; sign in again.")
        if state.status != "active":
            raise AccountDisabled
        self._last_use.session(session_id)
        if not counted.was:
            counted = await self._limiter.count(user_id, state.tier, counts=counts)
        return Principal(
            user_id=user_id,
            kind="person",
            role=_role(state),
            tier=state.tier,
            session_id=session_id,
            allowance=Allowance(counted.window, turns_left=counted.turns_left),
        )

    async def _service(self, key: str) -> Principal:
        if is_well_formed(key):
            key_hash = hash_api_key(key)
        elif self._given.known(key):
            key_hash = hash_secret(key)
        else:
            raise InvalidApiKey
        known = await self._cache.key(key_hash)
        if known is None:
            async with self._uow() as uow:
                found = await uow.api_keys.grant(key_hash)
            if found is None:
                raise InvalidApiKey
            await self._cache.keep_key(key_hash, *found)
            known = (*found, NOT_COUNTED)
        grant, state, counted = known
        if grant.expires_at is not None and grant.expires_at <= time.time():
            raise InvalidApiKey("The API key has expired.")
        if state.status != "active":
            raise AccountDisabled
        self._last_use.key(grant.key_id)
        if not counted.was:
            limit = grant.requests_per_minute
            counted = await self._limiter.count(grant.user_id, state.tier, key_hash, limit)
        return Principal(
            user_id=grant.user_id,
            kind="api_key",
            role=_role(state),
            tier=state.tier,
            api_key_id=grant.key_id,
            scopes=grant.scopes,
            models=grant.models,
            requests_per_minute=grant.requests_per_minute,
            allowance=Allowance(counted.window, turns_left=counted.turns_left),
        )


def _role(state: AccountState) -> Literal["user", "admin"]:
    return cast(Literal["user", "admin"], state.role)
