"""Measure the dashboard statistics on a generated ledger: `python -m bench.usage --rows 10000000`."""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

from alembic.config import Config
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from alembic import command
from gateway.core.database import create_engine, create_session_factory
from gateway.domain.config.catalog import Catalog
from gateway.domain.usage.reports import DateRange
from gateway.embedded.postgres import PostgresServer
from gateway.repositories.unit_of_work import UnitOfWork
from gateway.services.usage.reports import UsageReports
from gateway.services.usage.rollup import RollupJob

_PROJECT = Path(__file__).parent.parent
_DAYS = 30
_USERS = 1000
_INSERT_USERS_SQL = """
INSERT INTO users (id, email, password_hash)
SELECT gen_random_uuid(), 'u' || n || '@example.test', '' FROM generate_series(1, :users) n
"""
# In order of time, as rows are written; twelve models, one of which has half of the calls.
_INSERT_RECORDS_SQL = """
INSERT INTO usage_records (id, created_at, user_id, kind, model, provider, request_id, prompt_tokens,
                           completion_tokens, cost_usd, outcome, latency_ms)
SELECT gen_random_uuid(), CAST(:start AS timestamptz) + n * CAST(:step AS interval), account.id,
       (ARRAY['chat', 'chat', 'chat', 'tool'])[1 + n % 4],
       'model-' || greatest(0, (n * 7919) % 24 - 12), 'p' || (n * 7919) % 3, (n - n % 4 / 3)::text,
       n % 3000, n % 800, (n % 1000) / 1000000.0,
       CASE WHEN n % 50 = 0 THEN 'upstream_failed' WHEN n % 10 = 0 THEN 'cached' ELSE 'ok' END,
       exp(6 + 2 * sin(n * 12.9898))::int
FROM generate_series(CAST(:first AS bigint), :last) n JOIN (SELECT id, row_number() OVER () - 1 AS number FROM
users) account ON account.number = (n * 104729) % :users ORDER BY n
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    asyncio.run(_measure(parser.parse_args().rows))


async def _measure(rows: int) -> None:
    with tempfile.TemporaryDirectory(prefix="gateway-usage-") as directory:
        postgres = PostgresServer(Path(directory) / "postgres", durable=False)
        await asyncio.to_thread(postgres.start)
        try:
            config = Config(_PROJECT / "alembic.ini")
            config.attributes["database_url"] = postgres.url()
            await asyncio.to_thread(command.upgrade, config, "head")
            await _run(postgres.url(), rows)
        finally:
            await asyncio.to_thread(postgres.stop)


async def _run(url: str, rows: int) -> None:
    fill_engine, engine = create_async_engine(url), create_engine(url)
    now = datetime.now(UTC)
    start, step = now - timedelta(days=_DAYS), timedelta(days=_DAYS) / rows
    async with fill_engine.begin() as connection:
        await connection.execute(text(_INSERT_USERS_SQL), {"users": _USERS})
        # No row counts as late, so that the first rollup reads the whole ledger.
        await connection.execute(text("ALTER TABLE usage_records DISABLE TRIGGER note_late_usage"))
    for first in range(1, rows, 500_000):
        last = min(rows, first + 499_999)
        parameters = {"start": start, "step": step, "users": _USERS, "first": first, "last": last}
        async with fill_engine.begin() as connection:
            await connection.execute(text(_INSERT_RECORDS_SQL), parameters)
    async with fill_engine.connect() as connection:
        await connection.execution_options(isolation_level="AUTOCOMMIT")
        await connection.execute(text("VACUUM ANALYZE usage_records"))
    await fill_engine.dispose()
    _print(f"{rows} rows written")
    uow = partial(UnitOfWork, create_session_factory(engine))
    rollup, reports = RollupJob(uow), UsageReports(uow, Catalog())
    started, steps, longest = time.perf_counter(), 0, 0.0
    more = True
    while more:
        at = time.perf_counter()
        more = await rollup.roll_up_next(now)
        steps, longest = steps + 1, max(longest, time.perf_counter() - at)
    _print(f"rolled up in {time.perf_counter() - started:.1f} s, {steps} steps, the longest {longest:.2f} s")
    for zone in ("UTC", "Asia/Seoul", "Asia/Kolkata", "Asia/Kathmandu"):
        for days in (30, 7, 1):
            during = DateRange.parse(str((now - timedelta(days=days - 1)).date()), None, zone, now)
            times = []
            for _ in range(5):
                at = time.perf_counter()
                report = await reports.stats(during)
                times.append((time.perf_counter() - at) * 1000)
            durations = ", ".join(f"{ms:.0f}" for ms in sorted(times))
            _print(f"{zone}, {days} days, {report.usage.total.requests} requests: {durations} ms")
    await engine.dispose()


def _print(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
