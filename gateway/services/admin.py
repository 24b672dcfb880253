"""What administrators do: look after accounts, read the audit log, and see which models answer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

import structlog

from gateway.agent.recovery.upstreams import Upstreams
from gateway.cache.auth_cache import AuthCache
from gateway.core.exceptions import LastAdmin, NotFound, ValidationFailed
from gateway.domain.account import Account
from gateway.domain.audit import AuditNames, AuditRecord
from gateway.domain.breaker import BreakerView, LastError, ModelHealth
from gateway.domain.catalog import Catalog, ModelConfig
from gateway.domain.pages import Cursor, Page
from gateway.domain.reports import EVER, Span, Sums, day_and_month
from gateway.domain.usage import Price
from gateway.providers.chat.base import ChatProvider, ProviderHealth
from gateway.repositories.unit_of_work import UnitOfWork
from gateway.services.endings import Endings

log = structlog.get_logger(__name__)


_WORSE: tuple[ModelHealth, ...] = ("up", "degraded", "down")


@dataclass(frozen=True, slots=True)
class ModelState:
    """A model, what it is charged at, and its providers, the first of the configuration first.

    `health` holds those that have what they need and so were asked.
    """

    name: str
    config: ModelConfig
    price: Price
    providers: tuple[ChatProvider, ...]
    health: tuple[ProviderHealth, ...]
    upstreams: tuple[BreakerView, ...] = ()

    @property
    def judgement(self) -> ModelHealth | None:
        """The best of its upstreams; degraded where another one is worse. None where none is configured."""
        found = [upstream.health for upstream in self.upstreams]
        if not found:
            return None
        best = min(found, key=_WORSE.index)
        return "degraded" if best == "up" and len(set(found)) > 1 else best

    @property
    def last_error(self) -> LastError | None:
        """The newest failure of any of its upstreams."""
        errors = [upstream.last_error for upstream in self.upstreams if upstream.last_error is not None]
        return max(errors, key=lambda error: error.at, default=None)


class AdminService:
    """Every act is written to the audit log in its own transaction; callers have checked the role."""

    def __init__(
        self,
        uow: Callable[[], UnitOfWork],
        cache: AuthCache,
        endings: Endings,
        catalog: Catalog,
        providers: Mapping[str, ChatProvider],
        upstreams: Upstreams,
    ) -> None:
        self._uow = uow
        self._cache = cache
        self._endings = endings
        self._catalog = catalog
        self._providers = providers
        self._upstreams = upstreams

    async def users(
        self, *, cursor: str | None, limit: int, search: str | None = None, **filters: str | None
    ) -> Page[tuple[Account, Sums, int]]:
        """Accounts, the newest first, each with its usage of this month and the bytes that it stores.

        `filters`: role, tier, status.

        Raises:
            ValidationFailed: the cursor is broken.
        """
        before = Cursor.decode(cursor).id if cursor is not None else None
        _, month = day_and_month(datetime.now(UTC))
        async with self._uow() as uow:
            found = await uow.admin.accounts(before=before, limit=limit + 1, search=search, **filters)
            ids = [account.id for account in found]
            usage = await uow.usage.of_accounts(ids, month) if ids else {}
            stored = await uow.budgets.stored(ids)
        rows = [(one, usage.get(one.id, Sums()), stored.get(one.id, 0)) for one in found]
        return Page.of(rows, limit, lambda row: Cursor(row[0].created_at, row[0].id))

    async def names(self, records: Collection[AuditRecord]) -> AuditNames:
        """The names of the accounts and API keys in the records; those that are gone have none."""
        ids = {id_ for one in records for id_ in (one.actor_id, one.target_id) if id_ is not None}
        keys = {one.target_id for one in records if one.target_id and one.target_type == "api_key"}
        async with self._uow() as uow:
            return AuditNames(await uow.admin.addresses(ids - keys), await uow.admin.key_names(keys))

    async def change_user(
        self,
        actor_id: UUID,
        user_id: UUID,
        *,
        role: str | None = None,
        tier: str | None = None,
        status: str | None = None,
    ) -> Account:
        """Sets what is given, from the account's next request on; who is disabled is signed out everywhere.

        Raises:
            NotFound. ValidationFailed: there is no such tier.
            LastAdmin: nobody could administer the gateway then.
        """
        if tier is not None and tier not in self._catalog.tiers:
            raise ValidationFailed("tier: The configuration has no such tier.", param="tier")
        wished = {"role": role, "tier": tier, "status": status}
        async with self._uow() as uow:
            others = 1
            if role == "user" or status == "disabled":
                # Holds every active admin until the end: of two who would both go, the second one waits.
                others = await uow.users.other_active_admins(user_id)
            before = await uow.admin.hold(user_id)
            if before is None:
                raise NotFound
            changes = {
                name: value
                for name, value in wished.items()
                if value is not None and value != getattr(before, name)
            }
            if not changes:
                return before
            if _is_active_admin(before) and not others and ("role" in changes or "status" in changes):
                raise LastAdmin
            disabled = changes.get("status") == "disabled"
            after = await uow.admin.change(user_id, changes, end_access_tokens=disabled)
            ended = await uow.refresh_tokens.revoke_all(user_id) if disabled else []
            await uow.audit.add(
                "user.changed",
                actor_id=actor_id,
                target_type="user",
                target_id=user_id,
                details={name: {"from": getattr(before, name), "to": to} for name, to in changes.items()},
            )
        await self._tell(user_id, ended, disabled=disabled)
        log.info("user_changed", user_id=str(user_id), actor_id=str(actor_id), fields=sorted(changes))
        return after

    async def audit(
        self,
        *,
        cursor: str | None,
        limit: int,
        actor_id: UUID | None = None,
        target_id: UUID | None = None,
        action: str | None = None,
        during: Span = EVER,
    ) -> Page[AuditRecord]:
        """A page of the audit log, the newest first. Raises ValidationFailed for a broken cursor."""
        before = Cursor.decode(cursor).id if cursor is not None else None
        async with self._uow() as uow:
            found = await uow.audit.newest(
                before=before,
                limit=limit + 1,
                actor_id=actor_id,
                target_id=target_id,
                action=action,
                during=during,
            )
        return Page.of(found, limit, lambda record: Cursor(record.created_at, record.id))

    async def models(self) -> list[ModelState]:
        """Every model of the configuration; each provider that could answer is asked once, all at a time."""
        used = {name for model in self._catalog.models.values() for name in model.providers}
        asked = [name for name in used if self._providers[name].configured]
        answers = await asyncio.gather(*(self._providers[name].check() for name in asked))
        health = dict(zip(asked, answers, strict=True))
        # What was found out now also holds for routing and for the page of circuit breakers.
        for name, found in health.items():
            if found.reachable or found.answers:
                self._upstreams.away.ended(name, None)
            else:
                self._upstreams.away.suspect(name)
        views = self._upstreams.view()
        return [
            ModelState(
                name,
                model,
                self._catalog.price_of(name),
                tuple(self._providers[provider] for provider in model.providers),
                tuple(health[provider] for provider in model.providers if provider in health),
                tuple(view for view in views if view.model == name),
            )
            for name, model in self._catalog.models.items()
        ]

    async def _tell(self, user_id: UUID, ended: Collection[UUID], *, disabled: bool) -> None:
        """Make workers forget what they knew of the account, after the change is committed."""
        if disabled:
            await self._endings.sessions(user_id, ended)
            await self._endings.account(user_id)
        else:
            await self._cache.forget_account(user_id)


def _is_active_admin(account: Account) -> bool:
    return account.role == "admin" and account.status == "active"
