"""Request data of API clients beyond a question's text."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("messages", sa.Column("request", postgresql.JSONB(), nullable=True))


def downgrade() -> None:
    op.drop_column("messages", "request")
