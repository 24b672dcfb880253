"""Administration: accounts, the audit log and model health."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

import structlog

from gateway.agent.routing.upstream_pool import UpstreamPool
from gateway.cache.auth import AuthCache
from gateway.core.exceptions import LastAdmin, NotFound, ValidationFailed
from gateway.domain.accounts.audit import AuditNames, AuditRecord
from gateway.domain.accounts.models import Account
from gateway.domain.circuit_breaker import BreakerView, LastError, ModelHealth
from gateway.domain.config.catalog import Catalog
from gateway.domain.config.models import ModelConfig
from gateway.domain.money import Price
from gateway.domain.pagination import Cursor, Page
from gateway.domain.usage.reports import ALL_TIME, TimeSpan, UsageTotals, day_and_month
from gateway.providers.base import Provider, ProviderHealth
from gateway.repositories.unit_of_work import UnitOfWorkFactory
from gateway.services.accounts.revocation import RevocationService

log = structlog.get_logger(__name__)


_HEALTH_ORDER: tuple[ModelHealth, ...] = ("up", "degraded", "down")


@dataclass(frozen=True, slots=True)
class ModelStatus:
    """A model with its price and its providers, in configured order.

    `provider_health` contains only the providers that are configured and were checked.
    """

    name: str
    config: ModelConfig
    price: Price
    providers: tuple[Provider, ...]
    provider_health: tuple[ProviderHealth, ...]
    upstreams: tuple[BreakerView, ...] = ()

    @property
    def health(self) -> ModelHealth | None:
        """Return the best upstream health.

        `degraded` if upstreams differ, None without upstreams.
        """
        states = [upstream.health for upstream in self.upstreams]
        if not states:
            return None
        best = min(states, key=_HEALTH_ORDER.index)
        return "degraded" if best == "up" and len(set(states)) > 1 else best

    @property
    def last_error(self) -> LastError | None:
        """Return the most recent failure of any upstream."""
        errors = [upstream.last_error for upstream in self.upstreams if upstream.last_error is not None]
        return max(errors, key=lambda error: error.at, default=None)


class AdminService:
    """Administrative actions. Each writes its audit record in the same transaction.

    Callers check the role.
    """

    def __init__(
        self,
        uow: UnitOfWorkFactory,
        cache: AuthCache,
        revocation: RevocationService,
        catalog: Catalog,
        providers: Mapping[str, Provider],
        upstreams: UpstreamPool,
    ) -> None:
        self._uow = uow
        self._cache = cache
        self._revocation = revocation
        self._catalog = catalog
        self._providers = providers
        self._upstreams = upstreams

    async def list_users(
        self, *, cursor: str | None, limit: int, search: str | None = None, **filters: str | None
    ) -> Page[tuple[Account, UsageTotals, int]]:
        """List accounts, newest first, with this month's usage and the stored bytes.

        Args:
            filters: `role`, `tier` and `status`.

        Raises:
            ValidationFailed: the cursor is not valid.
        """
        before_id = Cursor.decode(cursor).id if cursor is not None else None
        _, month = day_and_month(datetime.now(UTC))
        async with self._uow() as uow:
            accounts = await uow.admin.list_accounts(
                before=before_id, limit=limit + 1, search=search, **filters
            )
            ids = [account.id for account in accounts]
            usage = await uow.usage.get_totals_by_account(ids, month) if ids else {}
            stored_bytes = await uow.budgets.get_stored_bytes(ids)
        rows = [(one, usage.get(one.id, UsageTotals()), stored_bytes.get(one.id, 0)) for one in accounts]
        return Page.from_rows(rows, limit, lambda row: Cursor(row[0].created_at, row[0].id))

    async def resolve_names(self, records: Collection[AuditRecord]) -> AuditNames:
        """Look up the names of the accounts and API keys in the records.

        Deleted ones have none.
        """
        ids = {id_ for record in records for id_ in (record.actor_id, record.target_id) if id_ is not None}
        keys = {
            record.target_id for record in records if record.target_id and record.target_type == "api_key"
        }
        async with self._uow() as uow:
            return AuditNames(await uow.admin.get_emails(ids - keys), await uow.admin.get_key_names(keys))

    async def change_user(
        self,
        actor_id: UUID,
        user_id: UUID,
        *,
        role: str | None = None,
        tier: str | None = None,
        status: str | None = None,
    ) -> Account:
        """Change the given fields from the account's next request on; disabling revokes all sessions.

        Raises:
            NotFound: the account does not exist.
            ValidationFailed: the tier does not exist.
            LastAdmin: no active administrator would remain.
        """
        if tier is not None and tier not in self._catalog.tiers:
            raise ValidationFailed("tier: The configuration has no such tier.", param="tier")
        async with self._uow() as uow:
            other_admins = 1
            if role == "user" or status == "disabled":
                # Locks every active administrator until commit, so that two administrators cannot remove each
                # other.
                other_admins = await uow.users.lock_and_count_other_admins(user_id)
            before = await uow.admin.lock(user_id)
            if before is None:
                raise NotFound
            changes = _changes(before, role=role, tier=tier, status=status)
            if not changes:
                return before
            if _is_active_admin(before) and not other_admins and ("role" in changes or "status" in changes):
                raise LastAdmin
            disabled = changes.get("status") == "disabled"
            after = await uow.admin.update(user_id, changes, revoke_access_tokens=disabled)
            revoked_sessions = await uow.refresh_tokens.revoke_all(user_id) if disabled else []
            await uow.audit.add(
                "user.changed",
                actor_id=actor_id,
                target_type="user",
                target_id=user_id,
                details={name: {"from": getattr(before, name), "to": to} for name, to in changes.items()},
            )
        await self._invalidate_caches(user_id, revoked_sessions, disabled=disabled)
        log.info("account.changed", user_id=str(user_id), actor_id=str(actor_id), fields=sorted(changes))
        return after

    async def list_audit(
        self,
        *,
        cursor: str | None,
        limit: int,
        actor_id: UUID | None = None,
        target_id: UUID | None = None,
        action: str | None = None,
        time_span: TimeSpan = ALL_TIME,
    ) -> Page[AuditRecord]:
        """List audit records, newest first.

        Raises ValidationFailed if the cursor is not valid.
        """
        before_id = Cursor.decode(cursor).id if cursor is not None else None
        async with self._uow() as uow:
            records = await uow.audit.list_recent(
                before=before_id,
                limit=limit + 1,
                actor_id=actor_id,
                target_id=target_id,
                action=action,
                during=time_span,
            )
        return Page.from_rows(records, limit, lambda record: Cursor(record.created_at, record.id))

    async def list_models(self) -> list[ModelStatus]:
        """List every configured model.

        All configured providers are checked concurrently, once each.
        """
        used_providers = {name for model in self._catalog.models.values() for name in model.providers}
        probed = [name for name in used_providers if self._providers[name].configured]
        results = await asyncio.gather(*(self._providers[name].check_health() for name in probed))
        health = dict(zip(probed, results, strict=True))
        # The results also update routing and the circuit breaker page.
        for name, provider_health in health.items():
            if provider_health.reachable or provider_health.responded:
                self._upstreams.unreachable.record(name, None)
            else:
                self._upstreams.unreachable.mark(name)
        views = self._upstreams.breaker_views()
        return [
            ModelStatus(
                name,
                model,
                self._catalog.price_of(name),
                tuple(self._providers[provider] for provider in model.providers),
                tuple(health[provider] for provider in model.providers if provider in health),
                tuple(view for view in views if view.model == name),
            )
            for name, model in self._catalog.models.items()
        ]

    async def _invalidate_caches(
        self, user_id: UUID, revoked_sessions: Collection[UUID], *, disabled: bool
    ) -> None:
        """Invalidate the cached account state in all workers, after the change is committed."""
        if disabled:
            await self._revocation.revoke_sessions(user_id, revoked_sessions)
            await self._revocation.revoke_account(user_id)
        else:
            await self._cache.invalidate_account(user_id)


def _changes(account: Account, **requested: str | None) -> dict[str, str]:
    """Return the requested values that differ from the account's."""
    return {
        name: value
        for name, value in requested.items()
        if value is not None and value != getattr(account, name)
    }


def _is_active_admin(account: Account) -> bool:
    return account.role == "admin" and account.status == "active"
