"""Authenticates requests: headers to principal, with one Valkey round trip."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Literal, cast

from gateway.cache.auth import AuthCache
from gateway.cache.rate_limit import NOT_COUNTED, RateLimiter
from gateway.core.exceptions import (
    AccountDisabled,
    AuthenticationFailed,
    InvalidApiKey,
    RateLimited,
    TokenInvalid,
)
from gateway.core.security.api_keys import KEY_PREFIX, hash_api_key, hash_credential, is_well_formed
from gateway.core.security.tokens import AccessTokens
from gateway.domain.accounts.models import AccountState
from gateway.domain.accounts.principal import Principal
from gateway.domain.usage.budgets import CallerLimits, RateCategory
from gateway.repositories.unit_of_work import UnitOfWorkFactory
from gateway.services.accounts.environment_keys import EnvironmentKeys
from gateway.services.accounts.last_used import LastUsedTracker


class Authenticator:
    """Checks access tokens and API keys against the state of account and session.

    Authenticated requests are counted against the account's rate limits. `enforce_rate_limit` rejects them
    separately, so that the caller is already known to the log.
    """

    def __init__(
        self,
        uow: UnitOfWorkFactory,
        cache: AuthCache,
        tokens: AccessTokens,
        limiter: RateLimiter,
        environment_keys: EnvironmentKeys,
    ) -> None:
        self._uow = uow
        self._cache = cache
        self._tokens = tokens
        self._limiter = limiter
        self._environment_keys = environment_keys
        self._last_used = LastUsedTracker(uow)

    async def authenticate(
        self, headers: Mapping[str, str], rate_category: RateCategory = "read"
    ) -> Principal:
        """Authenticate a request by its headers (lower-case names).

        `Authorization` precedes `x-api-key`.

        Args:
            rate_category: the rate limit for access tokens; requests with API keys always count as `turn`.

        Raises:
            AuthenticationFailed: no credential was sent.
            TokenExpired, TokenInvalid, InvalidApiKey: the credential is not valid.
            AccountDisabled: the credential is valid, but the account is disabled.
            Unavailable: neither Valkey nor PostgreSQL is reachable.
        """
        scheme, _, credential = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            credential = credential.strip()
            if credential.startswith(KEY_PREFIX) or self._environment_keys.contains(credential):
                return await self._authenticate_api_key(credential)
            if credential:
                return await self._authenticate_token(credential, rate_category)
        if api_key := headers.get("x-api-key"):
            return await self._authenticate_api_key(api_key.strip())
        raise AuthenticationFailed

    def enforce_rate_limit(self, principal: Principal) -> None:
        """Raise RateLimited if the request exceeds the requests per minute."""
        window = principal.limits.requests
        if window is not None and window.retry_after is not None:
            raise RateLimited(
                f"The limit is {window.limit} requests per minute.", retry_after=window.retry_after
            )

    async def aclose(self) -> None:
        """Wait for pending last-used updates."""
        await self._last_used.aclose()

    async def _authenticate_token(self, token: str, rate_category: RateCategory) -> Principal:
        claims = self._tokens.verify(token)
        user_id, session_id = claims.user_id, claims.session_id
        cached = await self._cache.get_session(user_id, session_id, claims.version, rate_category)
        if cached is None:
            async with self._uow() as uow:
                stored = await uow.users.get_session_state(user_id, session_id)
            if stored is None:
                raise TokenInvalid
            await self._cache.store_session(user_id, session_id, *stored)
            cached = (*stored, NOT_COUNTED)
        state, session_active, counted = cached
        if not session_active or claims.version != state.token_version:
            raise TokenInvalid("This session has ended. Sign in again.")
        if state.status != "active":
            raise AccountDisabled
        self._last_used.record_session(session_id)
        if not counted.counted:
            counted = await self._limiter.count(user_id, state.tier, rate_category=rate_category)
        return Principal(
            user_id=user_id,
            kind="user",
            role=_role(state),
            tier=state.tier,
            session_id=session_id,
            limits=CallerLimits(counted.window, turns_left=counted.turns_left),
        )

    async def _authenticate_api_key(self, key: str) -> Principal:
        if is_well_formed(key):
            key_hash = hash_api_key(key)
        elif self._environment_keys.contains(key):
            key_hash = hash_credential(key)
        else:
            raise InvalidApiKey
        cached = await self._cache.get_key(key_hash)
        if cached is None:
            async with self._uow() as uow:
                stored = await uow.api_keys.get_grant(key_hash)
            if stored is None:
                raise InvalidApiKey
            await self._cache.store_key(key_hash, *stored)
            cached = (*stored, NOT_COUNTED)
        grant, state, counted = cached
        if grant.expires_at is not None and grant.expires_at <= time.time():
            raise InvalidApiKey("The API key has expired.")
        if state.status != "active":
            raise AccountDisabled
        self._last_used.record_key(grant.key_id)
        if not counted.counted:
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
            limits=CallerLimits(counted.window, turns_left=counted.turns_left),
        )


def _role(state: AccountState) -> Literal["user", "admin"]:
    return cast(Literal["user", "admin"], state.role)
