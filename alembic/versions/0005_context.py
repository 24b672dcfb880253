"""Summaries of older messages, and the origin of conversation titles."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("messages", sa.Column("summary", sa.Text(), nullable=True))
    # The origin of existing titles is unknown, so they are never replaced.
    op.add_column("conversations", sa.Column("titled_by", sa.Text(), server_default="owner", nullable=False))
    op.alter_column("conversations", "titled_by", server_default="question")
    op.execute("UPDATE conversations SET titled_by = 'question' WHERE title = ''")
    op.create_check_constraint(
        op.f("ck_conversations_titled_by"),
        "conversations",
        "titled_by IN ('question', 'asked', 'model', 'owner')",
    )


def downgrade() -> None:
    op.drop_constraint(op.f("ck_conversations_titled_by"), "conversations")
    op.drop_column("conversations", "titled_by")
    op.drop_column("messages", "summary")
