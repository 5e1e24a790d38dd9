"""What the company knows, as the assistant answers from it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005_assistant"
down_revision = "0004_flywheel"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "assistant_knowledge",
        sa.Column("tenant_id", sa.String(80), primary_key=True),
        sa.Column("id", sa.String(120), primary_key=True),
        sa.Column("lang", sa.String(8), nullable=False),
        sa.Column("topic", sa.String(80), nullable=False),
        sa.Column("question", sa.Text(), nullable=False),
        sa.Column("answer", sa.Text(), nullable=False),
        sa.Column("source", sa.String(400), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
    )


def downgrade() -> None:
    op.drop_table("assistant_knowledge")
