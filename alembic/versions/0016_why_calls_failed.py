"""The provider's status and reason of failed calls, and usage records by request."""

from __future__ import annotations

import sqlalchemy as sa

from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("usage_records", sa.Column("upstream_status", sa.SmallInteger(), nullable=True))
    op.add_column("usage_records", sa.Column("upstream_reason", sa.Text(), nullable=True))
    op.create_index("ix_usage_records_request_id", "usage_records", ["request_id"])


def downgrade() -> None:
    op.drop_index("ix_usage_records_request_id", table_name="usage_records")
    op.drop_column("usage_records", "upstream_reason")
    op.drop_column("usage_records", "upstream_status")
