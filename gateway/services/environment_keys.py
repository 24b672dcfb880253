"""API keys that the operator gives by `GATEWAY_API_KEYS`, for set-ups without sign-up."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable

import structlog

from gateway.cache.auth_cache import AuthCache
from gateway.core.api_key_format import hash_secret
from gateway.domain.principal import ALL_SCOPES
from gateway.repositories.unit_of_work import UnitOfWork

log = structlog.get_logger(__name__)

ACCOUNT = "services@gateway.localhost"
_NAME = "GATEWAY_API_KEYS"
# Shorter ones can be guessed from outside.
_SHORT = 20


def parse_keys(text: str) -> tuple[str, ...]:
    """The keys of a comma-separated list, blanks left out."""
    return tuple(dict.fromkeys(key for part in text.split(",") if (key := part.strip())))


class EnvironmentKeys:
    """Writes the given keys' hashes down under one account, so that they are metered like any other key.

    The account is an ordinary one of the operator's tier that nobody can sign in to. A key that has left
    the environment is revoked at the next start.

    Args:
        requests_per_minute: the limit of each key; None leaves the tier's alone.
    """

    def __init__(
        self,
        keys: Iterable[str],
        uow: Callable[[], UnitOfWork],
        cache: AuthCache,
        *,
        tier: str,
        requests_per_minute: int | None = None,
    ) -> None:
        self._requests_per_minute = requests_per_minute
        self._hashes = {hash_secret(key): key for key in keys}
        self._uow = uow
        self._cache = cache
        self._tier = tier

    def known(self, credential: str) -> bool:
        """Whether the credential is one of them, whatever its form."""
        return bool(self._hashes) and hash_secret(credential) in self._hashes

    async def write_down(self) -> None:
        """Make the account and the keys' rows agree with the environment; safe at every start of a worker.

        Raises:
            Unavailable: the database cannot be reached.
        """
        async with self._uow() as uow:
            account = await uow.users.credentials_by_email(ACCOUNT)
            if account is None and not self._hashes:
                return
            if account is None:
                # No password has this as its hash.
                await uow.users.add(
                    email=ACCOUNT,
                    name="Services",
                    password_hash=f"!{secrets.token_hex(8)}",
                    tier=self._tier,
                )
                account = await uow.users.credentials_by_email(ACCOUNT)
            if account is None:
                return
            await uow.users.lock(account.user_id)
            gone = await uow.api_keys.keep_only(
                account.user_id,
                name=_NAME,
                prefixes={hash_: f"env:{hash_.hex()[:6]}" for hash_ in self._hashes},
                scopes=sorted(ALL_SCOPES),
                requests_per_minute=self._requests_per_minute,
            )
        for hash_ in {*gone, *self._hashes}:
            await self._cache.forget_key(hash_)
        if short := sum(len(key) < _SHORT for key in self._hashes.values()):
            log.warning("environment_keys_short", count=short, at_least=_SHORT)
