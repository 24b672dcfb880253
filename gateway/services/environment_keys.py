"""API keys that the operator gives by `GATEWAY_API_KEYS`, for set-ups without sign-up."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import structlog

from gateway.cache.auth_cache import AuthCache
from gateway.core.api_key_format import hash_secret
from gateway.core.passwords import has_no_password, no_password
from gateway.domain.account import Credentials
from gateway.domain.principal import ALL_SCOPES
from gateway.repositories.unit_of_work import UnitOfWork

log = structlog.get_logger(__name__)

ACCOUNT = "services@gateway.localhost"
# Where an account goes that somebody made under that address.
_MOVED = "moved.gateway.localhost"
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
            account, strangers = await self._own_account(uow)
            if account is None:
                return
            gone = await uow.api_keys.keep_only(
                account.user_id,
                name=_NAME,
                prefixes={hash_: f"env:{hash_.hex()[:6]}" for hash_ in self._hashes},
                scopes=sorted(ALL_SCOPES),
                requests_per_minute=self._requests_per_minute,
            )
        for hash_ in {*gone, *strangers, *self._hashes}:
            await self._cache.forget_key(hash_)
        if short := sum(len(key) < _SHORT for key in self._hashes.values()):
            log.warning("environment_keys_short", count=short, at_least=_SHORT)

    async def _own_account(self, uow: UnitOfWork) -> tuple[Credentials | None, list[bytes]]:
        """The account of the keys, held; None where there are no keys and it is not needed.

        An account that somebody signs in to is never used: it gets another address, and keys that an earlier
        release gave to it are taken from it. Their hashes are returned as well.
        """
        strangers: list[bytes] = []
        found = await uow.users.credentials_by_email(ACCOUNT)
        held = await uow.users.lock(found.user_id) if found is not None else None
        if held is not None and held.email == ACCOUNT and not has_no_password(held.password_hash):
            address = f"{held.user_id}@{_MOVED}"
            await uow.users.update_profile(held.user_id, name=None, email=address)
            strangers = await uow.api_keys.delete_hashes(held.user_id, list(self._hashes))
            strangers += await uow.api_keys.revoke_named(held.user_id, _NAME)
            log.warning("environment_keys_address_taken", user_id=str(held.user_id), moved_to=address)
            held = None
        if (held is None or held.email != ACCOUNT) and self._hashes:
            await uow.users.add(email=ACCOUNT, name="Services", password_hash=no_password(), tier=self._tier)
            made = await uow.users.credentials_by_email(ACCOUNT)
            held = await uow.users.lock(made.user_id) if made is not None else None
        return held, strangers
