"""Costs of running turns, request and step of calls, and deletion of old months."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


# A month's usage records and rollups are deleted together, so that reports stay consistent.
_DROP_MONTH = """
CREATE FUNCTION drop_usage_month(of_day date) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    month timestamp := date_trunc('month', of_day::timestamp);
    lower_bound timestamptz := month AT TIME ZONE 'UTC';
    upper_bound timestamptz := (month + interval '1 month') AT TIME ZONE 'UTC';
    name text := 'usage_records_' || to_char(month, 'YYYY_MM');
BEGIN
    IF upper_bound > now() THEN
        RAISE EXCEPTION 'The month of % is not over yet.', of_day;
    END IF;
    PERFORM pg_advisory_xact_lock(hashtext('usage_slots'));
    IF to_regclass(name) IS NOT NULL THEN
        EXECUTE format('DROP TABLE %I', name);
    END IF;
    DELETE FROM usage_records WHERE created_at >= lower_bound AND created_at < upper_bound;
    DELETE FROM usage_slots WHERE slot >= lower_bound AND slot < upper_bound;
    DELETE FROM usage_slowest WHERE slot >= lower_bound AND slot < upper_bound;
    DELETE FROM usage_late WHERE slot >= lower_bound AND slot < upper_bound;
    DELETE FROM usage_days WHERE day >= month::date AND day < (month + interval '1 month')::date;
END $$
"""


def upgrade() -> None:
    op.add_column("reservations", sa.Column("bill", postgresql.JSONB(), nullable=True))
    op.add_column("usage_records", sa.Column("request_key", sa.BigInteger(), nullable=True))
    op.add_column("usage_records", sa.Column("step", sa.Text(), nullable=True))
    op.execute(_DROP_MONTH)


def downgrade() -> None:
    op.execute("DROP FUNCTION drop_usage_month(date)")
    op.drop_column("usage_records", "step")
    op.drop_column("usage_records", "request_key")
    op.drop_column("reservations", "bill")
