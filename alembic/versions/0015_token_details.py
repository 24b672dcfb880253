"""Cached, cache-write and reasoning tokens per call, and their half-hour totals."""

from __future__ import annotations

import sqlalchemy as sa

from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

_COLUMNS = ("cached_tokens", "cache_write_tokens", "reasoning_tokens")


def upgrade() -> None:
    # A constant default is stored in the catalog, so no row is rewritten.
    for table, kind in (("usage_records", sa.Integer()), ("usage_slots", sa.BigInteger())):
        for name in _COLUMNS:
            op.add_column(table, sa.Column(name, kind, nullable=False, server_default=sa.text("0")))


def downgrade() -> None:
    for table in ("usage_slots", "usage_records"):
        for name in _COLUMNS:
            op.drop_column(table, name)
