"""Exports usage as CSV, page by page, safe to open in spreadsheets."""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncIterator, Iterable, Sequence

from gateway.domain.pagination import TotalsCursor
from gateway.domain.usage.reports import UsageRow, UsageTotalsRow
from gateway.repositories.unit_of_work import UnitOfWorkFactory
from gateway.services.usage.reports import UsageFilter

PAGE_SIZE = 5000
TOTALS_COLUMNS = (
    *("day", "model", "user_id", "email", "requests"),
    *("prompt_tokens", "completion_tokens", "total_tokens", "cost_usd"),
    *("cached_tokens", "cache_write_tokens", "reasoning_tokens"),
)
CALL_COLUMNS = (
    *("id", "created_at", "user_id", "api_key_id", "request_id", "kind", "model", "provider"),
    *("prompt_tokens", "completion_tokens", "cost_usd", "outcome", "latency_ms"),
    *("cached_tokens", "cache_write_tokens", "reasoning_tokens", "upstream_status", "upstream_reason"),
)
# https://owasp.org/www-community/attacks/CSV_Injection
_FORMULA_PREFIXES = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


class UsageCsvExporter:
    """Exports usage as CSV. Each page is its own unit of work.

    No connection waits for a slow client.

    Costs have all ten decimals, because a column of rounded values would not add up to the total.
    """

    def __init__(self, uow: UnitOfWorkFactory, *, page_size: int = PAGE_SIZE) -> None:
        self._uow = uow
        self.page_size = page_size

    async def export_totals(self, selection: UsageFilter) -> AsyncIterator[bytes]:
        """Yield totals by day, model and account, in this order."""
        yield _encode_rows([TOTALS_COLUMNS])
        for day in selection.date_range.days():
            # One day at a time, so that continuing after a page does not aggregate the whole range again.
            day_range, after = selection.date_range.clip_to_day(day), None
            while True:
                async with self._uow() as uow:
                    rows = await uow.usage.list_totals(
                        day_range,
                        after=after,
                        limit=self.page_size,
                        user_id=selection.user_id,
                        model=selection.model,
                    )
                if rows:
                    yield _encode_rows(map(_totals_cells, rows))
                if len(rows) < self.page_size:
                    break
                after = TotalsCursor(rows[-1].day, rows[-1].model, rows[-1].user_id)

    async def export_calls(self, selection: UsageFilter) -> AsyncIterator[bytes]:
        """Yield individual calls, oldest first."""
        yield _encode_rows([CALL_COLUMNS])
        after = None
        while True:
            async with self._uow() as uow:
                calls = await uow.usage.list_rows(
                    selection.date_range,
                    after=after,
                    limit=self.page_size,
                    user_id=selection.user_id,
                    model=selection.model,
                    outcome=selection.outcome,
                    request_id=selection.request_id,
                )
            if calls:
                yield _encode_rows(map(_call_cells, calls))
            if len(calls) < self.page_size:
                return
            after = calls[-1].id


def escape_cell(value: object) -> str:
    """Return a cell's text, escaped if a spreadsheet would run it as a formula."""
    text = "" if value is None else str(value)
    return "'" + text if text.startswith(_FORMULA_PREFIXES) else text


def _totals_cells(row: UsageTotalsRow) -> Sequence[str]:
    totals = row.totals
    numbers = (totals.requests, totals.prompt_tokens, totals.completion_tokens, totals.total_tokens)
    details = (totals.cached_tokens, totals.cache_write_tokens, totals.reasoning_tokens)
    cells = (row.day, row.model, row.user_id, row.email, *numbers, f"{totals.cost_usd:f}", *details)
    return [escape_cell(value) for value in cells]


def _call_cells(row: UsageRow) -> Sequence[str]:
    fields = {name: getattr(row, name) for name in CALL_COLUMNS}
    fields["created_at"] = row.created_at.isoformat()
    fields["cost_usd"] = f"{row.cost_usd:f}"
    return [escape_cell(fields[name]) for name in CALL_COLUMNS]


def _encode_rows(rows: Iterable[Sequence[str]]) -> bytes:
    buffer = io.StringIO(newline="")
    csv.writer(buffer).writerows(rows)
    return buffer.getvalue().encode()
