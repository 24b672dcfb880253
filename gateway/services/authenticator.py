"""Who is calling: from a request's headers to a principal, with one round trip to Valkey."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Literal, cast
from uuid import UUID

import structlog
from sqlalchemy.exc import SQLAlchemyError

from gateway.cache.auth_cache import AuthCache
from gateway.core.api_key_format import PREFIX, hash_api_key, is_well_formed
from gateway.core.exceptions import (
    AccountDisabled,
    AuthenticationFailed,
    GatewayError,
    InvalidApiKey,
    TokenInvalid,
)
from gateway.core.tokens import AccessTokens
from gateway.domain.account import AccountState
from gateway.domain.principal import Principal
from gateway.repositories.unit_of_work import UnitOfWork

log = structlog.get_logger(__name__)

_TOUCH_SECONDS = 60.0
_TOUCHED = 10_000  # keys whose last use is remembered


class Authenticator:
    """Checks access tokens and API keys against the account's and the session's present state."""

    def __init__(self, uow: Callable[[], UnitOfWork], cache: AuthCache, tokens: AccessTokens) -> None:
        self._uow = uow
        self._cache = cache
        self._tokens = tokens
        self._touched: OrderedDict[UUID, float] = OrderedDict()
        self._touching: set[asyncio.Task[None]] = set()

    async def authenticate(self, headers: Mapping[str, str]) -> Principal:
        """The caller of a request with these headers (lower-case names); a bearer goes before `x-api-key`.

        Raises:
            AuthenticationFailed: no credential. TokenExpired, TokenInvalid, InvalidApiKey: a bad one.
            AccountDisabled: a good one, of an account that may not use it.
            Unavailable: neither Valkey nor PostgreSQL can tell.
        """
        scheme, _, credential = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            credential = credential.strip()
            if credential.startswith(PREFIX):
                return await self._service(credential)
            if credential:
                return await self._person(credential)
        if api_key := headers.get("x-api-key"):
            return await self._service(api_key.strip())
        raise AuthenticationFailed

    async def aclose(self) -> None:
        """Waits for what is still being noted."""
        await asyncio.gather(*self._touching, return_exceptions=True)

    async def _person(self, token: str) -> Principal:
        claims = self._tokens.verify(token)
        user_id, session_id = claims.user_id, claims.session_id
        known = await self._cache.session(user_id, session_id)
        if known is None:
            async with self._uow() as uow:
                known = await uow.users.session_state(user_id, session_id)
            if known is None:
                raise TokenInvalid
            await self._cache.keep_session(user_id, session_id, *known)
        state, lives = known
        if not lives or claims.version != state.token_version:
            raise TokenInvalid("This session has ended; sign in again.")
        if state.status != "active":
            raise AccountDisabled
        return Principal(
            user_id=user_id, kind="person", role=_role(state), tier=state.tier, session_id=session_id
        )

    async def _service(self, key: str) -> Principal:
        if not is_well_formed(key):
            raise InvalidApiKey
        key_hash = hash_api_key(key)
        known = await self._cache.key(key_hash)
        if known is None:
            async with self._uow() as uow:
                known = await uow.api_keys.grant(key_hash)
            if known is None:
                raise InvalidApiKey
            await self._cache.keep_key(key_hash, *known)
        grant, state = known
        if grant.expires_at is not None and grant.expires_at <= time.time():
            raise InvalidApiKey("The API key has expired.")
        if state.status != "active":
            raise AccountDisabled
        self._touch(grant.key_id)
        return Principal(
            user_id=grant.user_id,
            kind="api_key",
            role=_role(state),
            tier=state.tier,
            api_key_id=grant.key_id,
            scopes=grant.scopes,
            models=grant.models,
            requests_per_minute=grant.requests_per_minute,
        )

    def _touch(self, key_id: UUID) -> None:
        """Notes the key's use in a task of its own, off the request's path, once a minute."""
        now = time.monotonic()
        if now - self._touched.get(key_id, -_TOUCH_SECONDS) < _TOUCH_SECONDS:
            return
        self._touched[key_id] = now
        self._touched.move_to_end(key_id)
        if len(self._touched) > _TOUCHED:
            self._touched.popitem(last=False)
        task = asyncio.create_task(self._write_touch(key_id))
        self._touching.add(task)
        task.add_done_callback(self._touching.discard)

    async def _write_touch(self, key_id: UUID) -> None:
        try:
            async with self._uow() as uow:
                await uow.api_keys.touch(key_id)
        except (GatewayError, SQLAlchemyError, OSError) as error:
            # Nobody waits for it, and the next minute brings another.
            log.warning("api_key_use_not_noted", error=type(error).__name__)


def _role(state: AccountState) -> Literal["user", "admin"]:
    return cast(Literal["user", "admin"], state.role)
