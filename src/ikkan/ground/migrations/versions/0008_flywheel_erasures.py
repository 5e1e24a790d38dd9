"""Erasures of people, carried into what was learned from them, with their receipts."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008_flywheel_erasures"
down_revision = "0007_flywheel_trials"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "flywheel_erasures",
        sa.Column("id", sa.String(48), primary_key=True),
        sa.Column("tombstone", sa.String(64), nullable=False),
        sa.Column("tenant_id", sa.String(80), nullable=False),
        sa.Column("subject_id", sa.String(120), nullable=True),
        sa.Column("cause", sa.String(20), nullable=False),
        sa.Column("state", sa.String(20), nullable=False),
        sa.Column("asked_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("done_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("work", sa.JSON(), nullable=False),
        sa.Column("receipt", sa.JSON(), nullable=True),
    )
    op.create_index("flywheel_erasures_by_tombstone", "flywheel_erasures", ["tombstone"], unique=True)


def downgrade() -> None:
    op.drop_table("flywheel_erasures")
