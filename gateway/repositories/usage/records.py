"""Usage records: totals by account, day, model and key, and single rows.

Every query has a time range: a month's range reads only that month's partition. `TurnRepository` writes the
rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, Date, Subquery, cast, func, literal, select, tuple_, update

from gateway.domain.pagination import TotalsCursor
from gateway.domain.usage.reports import (
    FAILED_FILTER,
    NON_ERROR_OUTCOMES,
    AccountTotals,
    DateRange,
    KeyUsage,
    UsageRow,
    UsageTotals,
    UsageTotalsRow,
)
from gateway.models.api_key import ApiKey
from gateway.models.usage_record import UsageRecord as Row
from gateway.models.user import User
from gateway.repositories.base import Repository

_DELETED_ACCOUNT = UUID(int=0)
# The request a row belongs to. Rows from before `request_key` have only the client's id, which is combined
# with the account; numbers are several times cheaper to count than texts.
_REQUEST = func.coalesce(
    Row.request_key,
    func.hashtextextended(Row.request_id, func.coalesce(cast(func.uuid_hash(Row.user_id), BigInteger), 0)),
).label("request")
_ROW = (
    Row.id,
    Row.created_at,
    Row.user_id,
    Row.api_key_id,
    Row.request_id,
    Row.kind,
    Row.model,
    Row.provider,
    Row.prompt_tokens,
    Row.completion_tokens,
    Row.cost_usd,
    Row.outcome,
    Row.latency_ms,
    Row.cached_tokens,
    Row.cache_write_tokens,
    Row.reasoning_tokens,
    Row.upstream_status,
    Row.upstream_reason,
)

_ROWS_WITH_EMAIL: Any = select(*_ROW, User.email).select_from(Row).outerjoin(User, User.id == Row.user_id)


def rows_by_day(during: DateRange) -> Subquery:
    """Select the rows of a range with `day` (in its time zone) and `request`."""
    day = cast(func.timezone(during.tz, Row.created_at), Date).label("day")
    statement: Subquery = _within(select(day, _REQUEST, Row.step, *_ROW), during).subquery()
    return statement


def total_columns(row: Any, *only: Any) -> tuple[Any, ...]:
    """Return the columns of `UsageTotals` over the rows that match `only`."""
    # The gateway's own calls belong to a request but do not count as one.
    answers = row.step.is_(None)
    requests: Any = func.count(row.request.distinct()).filter(answers)
    summed = (
        *(row.prompt_tokens, row.completion_tokens, row.cost_usd),
        *(row.cached_tokens, row.cache_write_tokens, row.reasoning_tokens),
    )
    sums: list[Any] = [func.sum(column) for column in summed]
    if only:
        requests = func.count(row.request.distinct()).filter(answers, *only)
        sums = [column.filter(*only) for column in sums]
    return (requests, *(func.coalesce(column, 0) for column in sums))


class UsageRepository(Repository):
    """Reads usage rows, creates their partitions and anonymizes deleted accounts."""

    async def ensure_partitions(self, months_ahead: int = 3) -> int:
        """Create missing partitions for this and the next months.

        Returns how many were created.
        """
        return int(await self._session.scalar(select(func.ensure_usage_partitions(months_ahead))) or 0)

    async def get_account_totals(self, user_id: UUID, day: datetime, month: datetime) -> AccountTotals:
        """Return the account's totals of today and of this month."""
        rows = select(_REQUEST, Row.step, *_ROW).where(Row.user_id == user_id, Row.created_at >= month)
        row = rows.subquery().c
        statement = (
            select(
                func.grouping(row.model, row.api_key_id),
                row.model,
                row.api_key_id,
                *total_columns(row),
                *total_columns(row, row.created_at >= day),
            )
            .group_by(func.grouping_sets(tuple_(), tuple_(row.model), tuple_(row.api_key_id)))
            .order_by(func.sum(row.cost_usd).desc(), func.count().desc())
        )
        whole = today = UsageTotals()
        models: list[tuple[str, UsageTotals]] = []
        keys: list[tuple[UUID | None, UsageTotals]] = []
        for grouping, model, key_id, *numbers in await self._session.execute(statement):
            half = len(numbers) // 2
            sums = UsageTotals(*numbers[:half])
            if grouping == 0b11:
                whole, today = sums, UsageTotals(*numbers[half:])
            elif grouping == 0b01:
                models.append((model, sums))
            else:
                keys.append((key_id, sums))
        return AccountTotals(today, whole, tuple(models), tuple(keys))

    async def get_totals_by_account(
        self, user_ids: Sequence[UUID], since: datetime
    ) -> dict[UUID, UsageTotals]:
        """Return the totals of those accounts that have used anything since then."""
        rows = select(_REQUEST, Row.step, *_ROW).where(Row.user_id.in_(user_ids), Row.created_at >= since)
        row = rows.subquery().c
        statement = select(row.user_id, *total_columns(row)).group_by(row.user_id)
        found = await self._session.execute(statement)
        return {user_id: UsageTotals(*numbers) for user_id, *numbers in found}

    async def list_totals(
        self,
        during: DateRange,
        *,
        after: TotalsCursor | None,
        limit: int,
        user_id: UUID | None = None,
        model: str | None = None,
    ) -> list[UsageTotalsRow]:
        """Return at most `limit` totals by day, model and account, after `after`."""
        rows = rows_by_day(during)
        row = rows.c
        # Collation "C" orders by bytes, the same on every server.
        name = row.model.collate("C")
        place = tuple_(row.day, name, func.coalesce(row.user_id, literal(_DELETED_ACCOUNT)))
        statement = (
            select(row.day, row.model, row.user_id, User.email, *total_columns(row))
            .select_from(rows.outerjoin(User, User.id == row.user_id))
            .group_by(row.day, row.model, row.user_id, User.email)
            .order_by(row.day, name, func.coalesce(row.user_id, literal(_DELETED_ACCOUNT)))
            .limit(limit)
        )
        if user_id is not None:
            statement = statement.where(row.user_id == user_id)
        if model is not None:
            statement = statement.where(row.model == model)
        if after is not None:
            last = tuple_(
                literal(after.day), literal(after.model), literal(after.user_id or _DELETED_ACCOUNT)
            )
            statement = statement.where(place > last)
        found = await self._session.execute(statement)
        return [
            UsageTotalsRow(day, name, account_id, email, UsageTotals(*rest))
            for day, name, account_id, email, *rest in found
        ]

    async def list_totals_by_key(
        self, during: DateRange, *, limit: int, user_id: UUID | None = None, model: str | None = None
    ) -> list[KeyUsage]:
        """Return the totals of at most `limit` keys, highest cost first.

        Requests with access tokens are grouped like one key per account.
        """
        rows = rows_by_day(during)
        row = rows.c
        statement = (
            select(row.api_key_id, ApiKey.name, ApiKey.prefix, row.user_id, User.email, *total_columns(row))
            .select_from(
                rows.outerjoin(User, User.id == row.user_id).outerjoin(ApiKey, ApiKey.id == row.api_key_id)
            )
            .group_by(row.api_key_id, ApiKey.name, ApiKey.prefix, row.user_id, User.email)
            .order_by(
                func.sum(row.cost_usd).desc(),
                func.sum(row.prompt_tokens + row.completion_tokens).desc(),
                row.user_id,
                row.api_key_id,
            )
            .limit(limit)
        )
        if user_id is not None:
            statement = statement.where(row.user_id == user_id)
        if model is not None:
            statement = statement.where(row.model == model)
        found = await self._session.execute(statement)
        return [
            KeyUsage(key_id, name, prefix, account_id, email, UsageTotals(*rest))
            for key_id, name, prefix, account_id, email, *rest in found
        ]

    # One keyword for each filter of the API.
    async def list_rows(
        self,
        during: DateRange | None,
        *,
        after: UUID | None,
        limit: int,
        user_id: UUID | None = None,
        model: str | None = None,
        outcome: str | None = None,
        request_id: str | None = None,
        newest_first: bool = False,
    ) -> list[UsageRow]:
        """Return at most `limit` rows in order of creation, after `after`.

        `outcome` is a recorded outcome, or `failed` for every error.
        """
        statement = _within(_ROWS_WITH_EMAIL, during).limit(limit)
        statement = statement.order_by(Row.id.desc() if newest_first else Row.id)
        if user_id is not None:
            statement = statement.where(Row.user_id == user_id)
        if model is not None:
            statement = statement.where(Row.model == model)
        if outcome == FAILED_FILTER:
            statement = statement.where(Row.outcome.not_in(NON_ERROR_OUTCOMES))
        elif outcome is not None:
            statement = statement.where(Row.outcome == outcome)
        if request_id is not None:
            statement = statement.where(Row.request_id == request_id)
        if after is not None:
            statement = statement.where(Row.id < after if newest_first else Row.id > after)
        return [UsageRow(*row) for row in await self._session.execute(statement)]

    async def anonymize_account(self, user_id: UUID, *, salt: str, limit: int | None = None) -> int:
        """Detach at most `limit` rows from an account; returns how many.

        Requests stay distinguishable, but not attributable.
        """
        which = select(Row.id, Row.created_at).where(Row.user_id == user_id).limit(limit)
        changed = await self._session.execute(
            update(Row)
            .where(Row.user_id == user_id, tuple_(Row.id, Row.created_at).in_(which))
            .values(
                user_id=None,
                api_key_id=None,
                message_id=None,
                request_id=func.concat("gone_", func.md5(func.concat(salt, Row.request_id))),
            )
        )
        return int(changed.rowcount)  # type: ignore[attr-defined]


def _within(statement: Any, during: DateRange | None) -> Any:
    if during is None:
        return statement
    return statement.where(Row.created_at >= during.start, Row.created_at < during.end)
