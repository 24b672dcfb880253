"""API keys: created, listed and revoked by the owning account."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from uuid import UUID

import structlog
from sqlalchemy.exc import IntegrityError

from gateway.cache.auth import AuthCache
from gateway.core.exceptions import NotFound, ValidationFailed
from gateway.core.security.api_keys import VISIBLE_PREFIX_LENGTH, hash_api_key, new_api_key
from gateway.domain.accounts.models import Account, ApiKeyInfo
from gateway.domain.accounts.principal import ALL_SCOPES
from gateway.domain.config.catalog import Catalog
from gateway.repositories.unit_of_work import UnitOfWorkFactory

log = structlog.get_logger(__name__)


class ApiKeyService:
    """Manages API keys. A key's secret is returned by `create` only and never stored."""

    def __init__(self, uow: UnitOfWorkFactory, cache: AuthCache, catalog: Catalog) -> None:
        self._uow = uow
        self._cache = cache
        self._model_names = frozenset(catalog.names())
        self._tiers = catalog.tiers

    async def create(
        self,
        user_id: UUID,
        *,
        name: str,
        scopes: Iterable[str] | None = None,
        models: Iterable[str] | None = None,
        requests_per_minute: int | None = None,
        expires_at: datetime | None = None,
    ) -> tuple[ApiKeyInfo, str]:
        """Create a key and return it with its secret; without `scopes` or `models` it has all of them.

        Raises:
            ValidationFailed: the key has already expired, names an unknown model, or exceeds the account's
                limit.
            NotFound: the account does not exist.
        """
        if expires_at is not None and expires_at <= datetime.now(UTC):
            raise ValidationFailed("The expiry time is in the past. Choose a later one.", param="expires_at")
        model_names = self._check_models(models)
        secret = new_api_key()
        try:
            async with self._uow() as uow:
                if requests_per_minute is not None:
                    self._check_rate_limit(requests_per_minute, await uow.users.get(user_id))
                key = await uow.api_keys.add(
                    user_id=user_id,
                    name=name,
                    prefix=secret[:VISIBLE_PREFIX_LENGTH],
                    key_hash=hash_api_key(secret),
                    scopes=sorted(ALL_SCOPES if scopes is None else set(scopes)),
                    models=model_names,
                    requests_per_minute=requests_per_minute,
                    expires_at=expires_at,
                )
                await uow.audit.add(
                    "api_key.created",
                    actor_id=user_id,
                    target_type="api_key",
                    target_id=key.id,
                    details={"scopes": list(key.scopes)},
                )
        except IntegrityError:
            raise NotFound from None  # the account was deleted in the meantime
        log.info("api_key.created", user_id=str(user_id), api_key_id=str(key.id))
        return key, secret

    def _check_models(self, models: Iterable[str] | None) -> list[str] | None:
        if models is None:
            return None
        if not self._model_names.issuperset(names := set(models)):
            raise ValidationFailed(
                "At least one of these names is neither a model nor an alias.", param="models"
            )
        return sorted(names)

    def _check_rate_limit(self, requested: int, owner: Account | None) -> None:
        """Refuse a limit above the account's own.

        A tier that is no longer configured counts as the first one.
        """
        if owner is None:
            raise NotFound
        tier = self._tiers.get(owner.tier) or next(iter(self._tiers.values()))
        if tier.requests_per_minute is not None and requested > tier.requests_per_minute:
            raise ValidationFailed(
                (
                    f"Your account is limited to {tier.requests_per_minute} requests per minute; a key "
                    "cannot exceed that."
                ),
                param="requests_per_minute",
            )

    async def list(self, user_id: UUID) -> list[ApiKeyInfo]:
        """List the account's keys that are not revoked, newest first."""
        async with self._uow() as uow:
            return await uow.api_keys.list_for(user_id)

    async def revoke(self, user_id: UUID, key_id: UUID) -> None:
        """Revoke the key from its next request on.

        Raises NotFound if the account has no such key.
        """
        async with self._uow() as uow:
            key_hash = await uow.api_keys.revoke(user_id, key_id)
            if key_hash is None:
                raise NotFound
            await uow.audit.add("api_key.revoked", actor_id=user_id, target_type="api_key", target_id=key_id)
        await self._cache.invalidate_key(key_hash)
        log.info("api_key.revoked", user_id=str(user_id), api_key_id=str(key_id))
