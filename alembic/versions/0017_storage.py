"""Stored bytes of accounts and messages; existing data counts as zero."""

from __future__ import annotations

import sqlalchemy as sa

from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    zero = sa.text("0")
    op.add_column("budgets", sa.Column("stored_bytes", sa.BigInteger(), server_default=zero, nullable=False))
    op.add_column("messages", sa.Column("stored_bytes", sa.Integer(), server_default=zero, nullable=False))


def downgrade() -> None:
    op.drop_column("messages", "stored_bytes")
    op.drop_column("budgets", "stored_bytes")
