"""Rolls usage records up into half-hour slots, and again after late rows."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import DateTime, Interval, bindparam, delete, func, select, text, update
from sqlalchemy.dialects.postgresql import insert

from gateway.domain.usage.rollup import MAX_SLOWEST_CALLS, REQUEST_GAP, ROLLUP_LAG, SLOT_LENGTH, slot_start
from gateway.models.usage_record import UsageRecord
from gateway.models.usage_rollup import UsageLate, UsageRolled, UsageSlot, UsageSlowest
from gateway.repositories.base import Repository
from gateway.repositories.usage import rollup_statements as sql

_TIMESTAMP = DateTime(timezone=True)
_ROLL_UP = text(sql.ROLL_UP).bindparams(
    *(bindparam(name, type_=_TIMESTAMP) for name in ("start", "end", "before", "after")),
    bindparam("gap", type_=Interval()),
)
_ROLL_UP_DAYS = text(sql.ROLL_UP_DAYS).bindparams(
    bindparam("start", type_=_TIMESTAMP), bindparam("end", type_=_TIMESTAMP)
)
_ROLL_UP_SLOWEST = text(sql.ROLL_UP_SLOWEST).bindparams(
    bindparam("start", type_=_TIMESTAMP), bindparam("end", type_=_TIMESTAMP)
)


class UsageRollupRepository(Repository):
    """One worker at a time; concurrent callers do nothing. Safe to repeat."""

    async def roll_up_next(self, now: datetime, max_span: timedelta) -> bool:
        """Roll up the next completed slots, at most `max_span`.

        Returns whether there are more.

        `now` must not be in the future: slots younger than `LAG` may still change.
        """
        if not await self._session.scalar(
            select(func.pg_try_advisory_xact_lock(func.hashtext("usage_slots")))
        ):
            return False
        until = await self._session.scalar(select(UsageRolled.until))
        if until is None:
            first = await self._session.scalar(select(func.min(UsageRecord.created_at)))
            if first is None:
                return False
            # Rows before the first one are late from now on.
            until = slot_start(min(first, now))
            await self._session.execute(insert(UsageRolled).values(id=1, until=until))
        more = await self._roll_up_late(until)
        complete_until, end, found = slot_start(now - ROLLUP_LAG), until, False
        while end < complete_until and not found:  # skip spans without rows
            start, end = end, min(complete_until, end + max_span)
            found = await self._roll_up(start, end)
        if end > until:
            await self._session.execute(update(UsageRolled).values(until=end))
        return more or end < complete_until

    async def _roll_up_late(self, until: datetime) -> bool:
        """Recompute slots with late rows, and their neighbours, which may share requests."""
        noted = select(UsageLate.id).order_by(UsageLate.id).limit(10_000)
        deleted = delete(UsageLate).where(UsageLate.id.in_(noted)).returning(UsageLate.slot)
        noted_slots = list(await self._session.scalars(deleted))
        late = sorted(
            {slot + step for slot in noted_slots for step in (-SLOT_LENGTH, timedelta(), SLOT_LENGTH)}
        )
        for slot in late:
            if slot < until:
                await self._session.execute(delete(UsageSlot).where(UsageSlot.slot == slot))
                await self._session.execute(delete(UsageSlowest).where(UsageSlowest.slot == slot))
                await self._roll_up(slot, slot + SLOT_LENGTH)
        return len(noted_slots) == 10_000

    async def _roll_up(self, start: datetime, end: datetime) -> bool:
        """Roll up one span; returns whether it contained rows."""
        made = await self._session.execute(
            _ROLL_UP,
            {
                "start": start,
                "end": end,
                "before": start - REQUEST_GAP,
                "after": end + REQUEST_GAP,
                "gap": REQUEST_GAP,
            },
        )
        if not made.rowcount:  # type: ignore[attr-defined]
            return False
        await self._session.execute(_ROLL_UP_DAYS, {"start": start, "end": end})
        await self._session.execute(_ROLL_UP_SLOWEST, {"start": start, "end": end, "most": MAX_SLOWEST_CALLS})
        return True
