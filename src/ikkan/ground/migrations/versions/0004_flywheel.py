"""Decisions of the flywheel and the datasets they rest on."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004_flywheel"
down_revision = "0003_cloud"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "flywheel_decisions",
        sa.Column("id", sa.String(40), primary_key=True),
        sa.Column("learnable", sa.String(80), nullable=False),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("decision", sa.String(20), nullable=False),
        sa.Column("code", sa.String(40), nullable=False),
        sa.Column("reasons", sa.JSON(), nullable=False),
        sa.Column("champion", sa.String(80), nullable=True),
        sa.Column("candidate", sa.String(80), nullable=True),
        sa.Column("judged", sa.String(80), nullable=True),
        sa.Column("dataset", sa.String(80), nullable=True),
        sa.Column("until", sa.DateTime(timezone=True), nullable=False),
        sa.Column("seed", sa.BigInteger(), nullable=False),
        sa.Column("drill", sa.Boolean(), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("n", sa.Integer(), nullable=False),
        sa.Column("gain", sa.Float(), nullable=True),
        sa.Column("lower", sa.Float(), nullable=True),
        sa.Column("upper", sa.Float(), nullable=True),
        sa.Column("numbers", sa.JSON(), nullable=False),
    )
    op.create_index("flywheel_decisions_by_learnable", "flywheel_decisions", ["learnable", "decided_at", "id"])
    op.create_table(
        "flywheel_datasets",
        sa.Column("artifact_id", sa.String(80), primary_key=True),
        sa.Column("learnable", sa.String(80), nullable=False),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("until", sa.DateTime(timezone=True), nullable=False),
        sa.Column("cutoff", sa.DateTime(timezone=True), nullable=True),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("examples", sa.Integer(), nullable=False),
        sa.Column("teaching", sa.Integer(), nullable=False),
        sa.Column("judging", sa.Integer(), nullable=False),
    )


def downgrade() -> None:
    op.drop_table("flywheel_datasets")
    op.drop_table("flywheel_decisions")
