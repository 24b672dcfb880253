"""Age and last use of sessions, and password resets."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

# A session is as old as its first token.
BEGINNINGS = """
UPDATE refresh_tokens SET started_at = family.began, last_used_at = refresh_tokens.created_at
FROM (SELECT family_id, min(created_at) AS began FROM refresh_tokens GROUP BY family_id) AS family
WHERE family.family_id = refresh_tokens.family_id
"""


def upgrade() -> None:
    for name in ("started_at", "last_used_at"):
        op.add_column(
            "refresh_tokens",
            sa.Column(name, sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        )
    op.execute(BEGINNINGS)
    op.create_table(
        "password_resets",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("token_hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_password_resets_user_id_users"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_password_resets")),
        sa.UniqueConstraint("token_hash", name=op.f("uq_password_resets_token_hash")),
    )
    op.create_index(op.f("ix_password_resets_user_id"), "password_resets", ["user_id"])
    op.create_index(op.f("ix_password_resets_expires_at"), "password_resets", ["expires_at"])


def downgrade() -> None:
    op.drop_table("password_resets")
    op.drop_column("refresh_tokens", "last_used_at")
    op.drop_column("refresh_tokens", "started_at")
