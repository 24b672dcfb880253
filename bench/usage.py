"""Times the dashboard's figures on a made-up ledger: `python -m bench.usage --rows 10000000`."""

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
_PEOPLE = 1000
_PEOPLE_SQL = """
INSERT INTO users (id, email, password_hash)
SELECT gen_random_uuid(), 'u' || n || '@example.test', '' FROM generate_series(1, :people) n
"""
# In the order of time, as rows are written; twelve models, of which one is asked half of the time.
_ROWS_SQL = """
INSERT INTO usage_records (id, created_at, user_id, kind, model, provider, request_id, prompt_tokens,
                           completion_tokens, cost_usd, outcome, latency_ms)
SELECT gen_random_uuid(), CAST(:start AS timestamptz) + n * CAST(:step AS interval), who.id,
       (ARRAY['chat', 'chat', 'chat', 'tool'])[1 + n % 4],
       'model-' || greatest(0, (n * 7919) % 24 - 12), 'p' || (n * 7919) % 3, (n - n % 4 / 3)::text,
       n % 3000, n % 800, (n % 1000) / 1000000.0,
       CASE WHEN n % 50 = 0 THEN 'upstream_failed' WHEN n % 10 = 0 THEN 'cached' ELSE 'ok' END,
       exp(6 + 2 * sin(n * 12.9898))::int
FROM generate_series(CAST(:first AS bigint), :last) n
JOIN (SELECT id, row_number() OVER () - 1 AS number FROM users) who ON who.number = (n * 104729) % :people
ORDER BY n
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
            await _on(postgres.url(), rows)
        finally:
            await asyncio.to_thread(postgres.stop)


async def _on(url: str, rows: int) -> None:
    filling, engine = create_async_engine(url), create_engine(url)
    now = datetime.now(UTC)
    start, step = now - timedelta(days=_DAYS), timedelta(days=_DAYS) / rows
    async with filling.begin() as connection:
        await connection.execute(text(_PEOPLE_SQL), {"people": _PEOPLE})
        # The ledger as it is found when adding up begins: nothing of it was late.
        await connection.execute(text("ALTER TABLE usage_records DISABLE TRIGGER note_late_usage"))
    for first in range(1, rows, 500_000):
        last = min(rows, first + 499_999)
        given = {"start": start, "step": step, "people": _PEOPLE, "first": first, "last": last}
        async with filling.begin() as connection:
            await connection.execute(text(_ROWS_SQL), given)
    async with filling.connect() as connection:
        await connection.execution_options(isolation_level="AUTOCOMMIT")
        await connection.execute(text("VACUUM ANALYZE usage_records"))
    await filling.dispose()
    _say(f"{rows} rows written")
    uow = partial(UnitOfWork, create_session_factory(engine))
    roll_up, usage = RollupJob(uow), UsageReports(uow, Catalog())
    began, steps, longest = time.perf_counter(), 0, 0.0
    more = True
    while more:
        at = time.perf_counter()
        more = await roll_up.roll_up_next(now)
        steps, longest = steps + 1, max(longest, time.perf_counter() - at)
    _say(f"added up in {time.perf_counter() - began:.1f} s, {steps} steps, the longest {longest:.2f} s")
    for zone in ("UTC", "Asia/Seoul", "Asia/Kolkata", "Asia/Kathmandu"):
        for days in (30, 7, 1):
            during = DateRange.parse(str((now - timedelta(days=days - 1)).date()), None, zone, now)
            times = []
            for _ in range(5):
                at = time.perf_counter()
                report = await usage.stats(during)
                times.append((time.perf_counter() - at) * 1000)
            told = ", ".join(f"{ms:.0f}" for ms in sorted(times))
            _say(f"{zone}, {days} days, {report.usage.total.requests} requests: {told} ms")
    await engine.dispose()


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
