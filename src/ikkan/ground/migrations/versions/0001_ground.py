"""Events, the keys that open them, consent, erasures, and the progress of jobs."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001_ground"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "ground_events",
        sa.Column("id", sa.String(36), primary_key=True),
        sa.Column("name", sa.String(80), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("tenant_id", sa.String(80), nullable=False),
        sa.Column("subject_id", sa.String(120), nullable=True),
        sa.Column("occurred_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("purpose", sa.String(40), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
    )
    op.create_index("ground_events_by_name", "ground_events", ["name", "recorded_at", "id"])
    op.create_index("ground_events_by_time", "ground_events", ["recorded_at", "id"])
    op.create_table(
        "ground_subject_keys",
        sa.Column("tenant_id", sa.String(80), primary_key=True),
        sa.Column("subject_id", sa.String(120), primary_key=True),
        sa.Column("wrapped_key", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
    )
    op.create_table(
        "ground_consents",
        sa.Column("tenant_id", sa.String(80), primary_key=True),
        sa.Column("subject_id", sa.String(120), primary_key=True),
        sa.Column("purpose", sa.String(40), primary_key=True),
        sa.Column("granted", sa.Boolean(), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
    )
    op.create_table(
        "ground_erasures",
        sa.Column("tombstone", sa.String(64), primary_key=True),
        sa.Column("erased_at", sa.DateTime(timezone=True), nullable=False),
    )
    op.create_table(
        "ground_jobs_progress",
        sa.Column("job_id", sa.String(80), primary_key=True),
        sa.Column("name", sa.String(80), nullable=False),
        sa.Column("fraction", sa.Float(), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
    )


def downgrade() -> None:
    raise NotImplementedError("restore the backup made before the upgrade")
