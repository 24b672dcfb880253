"""The slowest model calls of each half hour."""

from __future__ import annotations

import sqlalchemy as sa

from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "usage_slowest",
        sa.Column("slot", sa.DateTime(timezone=True), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("latency_ms", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("slot", "id", name=op.f("pk_usage_slowest")),
    )
    # Roll existing usage up again, including them.
    for name in ("usage_slots", "usage_days", "usage_late", "usage_rolled"):
        op.execute(f"DELETE FROM {name}")


def downgrade() -> None:
    op.drop_table("usage_slowest")
