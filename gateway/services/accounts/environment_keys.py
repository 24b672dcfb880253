"""API keys from `GATEWAY_API_KEYS`, for deployments without registration."""

from __future__ import annotations

from collections.abc import Iterable

import structlog

from gateway.cache.auth import AuthCache
from gateway.core.security.api_keys import hash_credential
from gateway.core.security.passwords import is_unusable_hash, unusable_password_hash
from gateway.domain.accounts.models import Credentials
from gateway.domain.accounts.principal import ALL_SCOPES
from gateway.repositories.unit_of_work import UnitOfWork, UnitOfWorkFactory

log = structlog.get_logger(__name__)

ACCOUNT_EMAIL = "services@gateway.localhost"
# The domain for an account that a user registered under that address.
_RELOCATED_DOMAIN = "moved.gateway.localhost"
_KEY_NAME = "GATEWAY_API_KEYS"
# Shorter keys could be guessed.
_MIN_LENGTH = 20


def parse_keys(text: str) -> tuple[str, ...]:
    """Split a comma-separated list of keys; blank entries are dropped."""
    return tuple(dict.fromkeys(key for item in text.split(",") if (key := item.strip())))


class EnvironmentKeys:
    """Stores the keys' hashes under one account, where they are metered like other keys.

    It is an ordinary account of the operator tier without a password. A key that is removed from the
    environment is revoked at the next start.

    Args:
        requests_per_minute: the limit of each key; None applies the tier's limit.
    """

    def __init__(
        self,
        keys: Iterable[str],
        uow: UnitOfWorkFactory,
        cache: AuthCache,
        *,
        tier: str,
        requests_per_minute: int | None = None,
    ) -> None:
        self._requests_per_minute = requests_per_minute
        self._hashes = {hash_credential(key): key for key in keys}
        self._uow = uow
        self._cache = cache
        self._tier = tier

    def contains(self, credential: str) -> bool:
        """Return whether the credential is one of the keys, in any format."""
        return bool(self._hashes) and hash_credential(credential) in self._hashes

    async def persist(self) -> None:
        """Synchronize the account and its keys with the environment.

        Safe to run in every worker.

        Raises:
            Unavailable: the database cannot be reached.
        """
        async with self._uow() as uow:
            account, foreign_hashes = await self._lock_account(uow)
            if account is None:
                return
            revoked = await uow.api_keys.sync(
                account.user_id,
                name=_KEY_NAME,
                prefixes={hash_: f"env:{hash_.hex()[:6]}" for hash_ in self._hashes},
                scopes=sorted(ALL_SCOPES),
                requests_per_minute=self._requests_per_minute,
            )
        for hash_ in {*revoked, *foreign_hashes, *self._hashes}:
            await self._cache.invalidate_key(hash_)
        if short := sum(len(key) < _MIN_LENGTH for key in self._hashes.values()):
            log.warning("environment_keys.too_short", count=short, at_least=_MIN_LENGTH)

    async def _lock_account(self, uow: UnitOfWork) -> tuple[Credentials | None, list[bytes]]:
        """Return the locked account of the keys, creating it if there are keys.

        None if it is not needed.

        An account that has a password is never used: it is moved to another address and loses keys that an
        earlier release assigned to it. Their hashes are returned as well.
        """
        foreign_hashes: list[bytes] = []
        credentials = await uow.users.get_credentials_by_email(ACCOUNT_EMAIL)
        account = await uow.users.lock(credentials.user_id) if credentials is not None else None
        if (
            account is not None
            and account.email == ACCOUNT_EMAIL
            and not is_unusable_hash(account.password_hash)
        ):
            address = f"{account.user_id}@{_RELOCATED_DOMAIN}"
            await uow.users.update_profile(account.user_id, name=None, email=address)
            foreign_hashes = await uow.api_keys.delete_by_hash(account.user_id, list(self._hashes))
            foreign_hashes += await uow.api_keys.revoke_by_name(account.user_id, _KEY_NAME)
            log.warning("environment_keys.address_taken", user_id=str(account.user_id), moved_to=address)
            account = None
        if (account is None or account.email != ACCOUNT_EMAIL) and self._hashes:
            await uow.users.add(
                email=ACCOUNT_EMAIL, name="Services", password_hash=unusable_password_hash(), tier=self._tier
            )
            created = await uow.users.get_credentials_by_email(ACCOUNT_EMAIL)
            account = await uow.users.lock(created.user_id) if created is not None else None
        return account, foreign_hashes
