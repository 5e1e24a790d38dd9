"""When each learnable is looked at next."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010_flywheel_schedule"
down_revision = "0008_flywheel_erasures"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "flywheel_schedule",
        sa.Column("learnable", sa.String(80), primary_key=True),
        sa.Column("next_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("looked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("failures", sa.Integer(), nullable=False),
    )


def downgrade() -> None:
    op.drop_table("flywheel_schedule")
