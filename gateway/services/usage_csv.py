"""The ledger as CSV: a page of rows at a time, in cells that no spreadsheet takes for formulas."""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncIterator, Callable, Iterable, Sequence

from gateway.domain.pages import SumCursor
from gateway.domain.reports import UsageRow, UsageSum
from gateway.repositories.unit_of_work import UnitOfWork
from gateway.services.usage import UsageFilter

PAGE = 5000
SUM_COLUMNS = (
    *("day", "model", "user_id", "email", "requests"),
    *("prompt_tokens", "completion_tokens", "total_tokens", "cost_usd"),
    *("cached_tokens", "cache_write_tokens", "reasoning_tokens"),
)
ROW_COLUMNS = (
    *("id", "created_at", "user_id", "api_key_id", "request_id", "kind", "model", "provider"),
    *("prompt_tokens", "completion_tokens", "cost_usd", "outcome", "latency_ms"),
    *("cached_tokens", "cache_write_tokens", "reasoning_tokens", "upstream_status", "upstream_reason"),
)
# https://owasp.org/www-community/attacks/CSV_Injection
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


class UsageCsv:
    """Each page is a unit of work of its own: no connection waits for a client that reads slowly.

    Costs are exact here, all ten decimals: a column of rounded ones would not sum up to the bill.
    """

    def __init__(self, uow: Callable[[], UnitOfWork], *, page: int = PAGE) -> None:
        self._uow = uow
        self._page = page

    async def sums(self, which: UsageFilter) -> AsyncIterator[bytes]:
        """Lines of sums by day, model and account, in this order."""
        yield _lines([SUM_COLUMNS])
        for day in which.during.days():
            # A day at a time, so that going on behind a page does not sum up the whole range again.
            part, after = which.during.of_day(day), None
            while True:
                async with self._uow() as uow:
                    found = await uow.usage.sums(
                        part, after=after, limit=self._page, user_id=which.user_id, model=which.model
                    )
                if found:
                    yield _lines(map(_sum_cells, found))
                if len(found) < self._page:
                    break
                after = SumCursor(found[-1].day, found[-1].model, found[-1].user_id)

    async def rows(self, which: UsageFilter) -> AsyncIterator[bytes]:
        """Lines of single calls, the oldest first."""
        yield _lines([ROW_COLUMNS])
        after = None
        while True:
            async with self._uow() as uow:
                found = await uow.usage.rows(
                    which.during,
                    after=after,
                    limit=self._page,
                    user_id=which.user_id,
                    model=which.model,
                    outcome=which.outcome,
                    request_id=which.request_id,
                )
            if found:
                yield _lines(map(_row_cells, found))
            if len(found) < self._page:
                return
            after = found[-1].id


def cell(value: object) -> str:
    """A cell's text; one that a spreadsheet would take for a formula is made a text by an apostrophe."""
    text = "" if value is None else str(value)
    return "'" + text if text.startswith(_FORMULA) else text


def _sum_cells(one: UsageSum) -> Sequence[str]:
    sums = one.sums
    numbers = (sums.requests, sums.prompt_tokens, sums.completion_tokens, sums.total_tokens)
    parts = (sums.cached_tokens, sums.cache_write_tokens, sums.reasoning_tokens)
    cells = (one.day, one.model, one.user_id, one.email, *numbers, f"{sums.cost_usd:f}", *parts)
    return [cell(value) for value in cells]


def _row_cells(row: UsageRow) -> Sequence[str]:
    fields = {name: getattr(row, name) for name in ROW_COLUMNS}
    fields["created_at"] = row.created_at.isoformat()
    fields["cost_usd"] = f"{row.cost_usd:f}"
    return [cell(fields[name]) for name in ROW_COLUMNS]


def _lines(rows: Iterable[Sequence[str]]) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text).writerows(rows)
    return text.getvalue().encode()
