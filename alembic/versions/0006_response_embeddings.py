"""Semantic cache, if pgvector is installed and may be used; otherwise nothing."""

from __future__ import annotations

from alembic import op

from gateway.models.response_embedding import CREATE_TABLE, TABLE

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(CREATE_TABLE)


def downgrade() -> None:
    # The extension is kept, because other programs may use it.
    op.execute(f"DROP TABLE IF EXISTS {TABLE}")
