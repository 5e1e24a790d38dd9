"""Candidates tried on people, and how people fared."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007_flywheel_trials"
down_revision = "0006_console"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "flywheel_trials",
        sa.Column("id", sa.String(40), primary_key=True),
        sa.Column("learnable", sa.String(80), nullable=False),
        sa.Column("round", sa.Integer(), nullable=False),
        sa.Column("candidate", sa.String(80), nullable=False),
        sa.Column("champion", sa.String(80), nullable=False),
        sa.Column("policy", sa.JSON(), nullable=False),
        sa.Column("salt", sa.String(64), nullable=False),
        sa.Column("state", sa.String(20), nullable=False),
        sa.Column("share", sa.Float(), nullable=False),
        sa.Column("began_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("phase_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("until", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last", sa.String(40), nullable=False),
    )
    op.create_index("flywheel_trials_by_round", "flywheel_trials", ["learnable", "round"], unique=True)
    op.create_table(
        "flywheel_evidence",
        sa.Column("trial_id", sa.String(40), primary_key=True),
        sa.Column("phase", sa.String(10), primary_key=True),
        sa.Column("unit", sa.String(32), primary_key=True),
        sa.Column("place", sa.Integer(), nullable=False),
        sa.Column("treated", sa.Boolean(), nullable=False),
        sa.Column("share", sa.Float(), nullable=False),
        sa.Column("value", sa.Float(), nullable=False),
        sa.Column("guards", sa.JSON(), nullable=False),
        sa.Column("broken", sa.String(80), nullable=True),
        sa.Column("counted_at", sa.DateTime(timezone=True), nullable=False),
    )


def downgrade() -> None:
    op.drop_table("flywheel_evidence")
    op.drop_table("flywheel_trials")
