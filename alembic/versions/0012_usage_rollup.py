"""Usage records rolled up by half hours."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

# Rows this late may belong to a half hour that is already rolled up. Almost no row is, and for all others the
# check is one comparison.
_LATE = """
CREATE FUNCTION note_late_usage() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO usage_late (slot) VALUES (date_bin('30 minutes', NEW.created_at, 'epoch'));
    RETURN NULL;
END $$
"""
_ON_INSERT = """
CREATE TRIGGER note_late_usage AFTER INSERT ON usage_records
FOR EACH ROW WHEN (NEW.created_at < now() - interval '10 minutes') EXECUTE FUNCTION note_late_usage()
"""


def upgrade() -> None:
    op.create_table(
        "usage_slots",
        sa.Column("slot", sa.DateTime(timezone=True), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        *(
            sa.Column(name, sa.Integer(), nullable=False)
            for name in ("calls", "failed", "cached", "requests", "requests_of_model", "requests_of_kind")
        ),
        sa.Column("errors", sa.Integer(), nullable=False),
        sa.Column("prompt_tokens", sa.BigInteger(), nullable=False),
        sa.Column("completion_tokens", sa.BigInteger(), nullable=False),
        sa.Column("cost_usd", sa.Numeric(20, 10), nullable=False),
        sa.Column("latencies", postgresql.ARRAY(sa.Integer()), nullable=True),
        sa.PrimaryKeyConstraint("slot", "model", "provider", "kind", name=op.f("pk_usage_slots")),
    )
    op.create_table(
        "usage_days",
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("slots", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_usage_days_user_id_users"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("day", "user_id", name=op.f("pk_usage_days")),
    )
    op.create_index("ix_usage_days_user_id", "usage_days", ["user_id"])
    op.create_table(
        "usage_late",
        sa.Column("id", sa.BigInteger(), sa.Identity(), nullable=False),
        sa.Column("slot", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_usage_late")),
    )
    op.create_table(
        "usage_rolled",
        sa.Column("id", sa.SmallInteger(), nullable=False, autoincrement=False),
        sa.Column("until", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("id = 1", name=op.f("ck_usage_rolled_one")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_usage_rolled")),
    )
    op.execute(_LATE)
    op.execute(_ON_INSERT)


def downgrade() -> None:
    op.execute("DROP TRIGGER note_late_usage ON usage_records")
    op.execute("DROP FUNCTION note_late_usage()")
    for name in ("usage_rolled", "usage_late", "usage_days", "usage_slots"):
        op.drop_table(name)
