"""What the operator chose on the pages."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006_console"
down_revision = "0005_assistant"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "console_choices",
        sa.Column("name", sa.String(80), primary_key=True),
        sa.Column("value", sa.String(400), nullable=False),
        sa.Column("chosen_at", sa.DateTime(timezone=True), nullable=False),
    )


def downgrade() -> None:
    op.drop_table("console_choices")
