"""Files that tenants bring, trainings on them, and the models that come of it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011_tuning"
down_revision = "0010_flywheel_schedule"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "cloud_files",
        sa.Column("id", sa.String(60), primary_key=True),
        sa.Column("tenant_id", sa.String(80), nullable=False),
        sa.Column("subject_id", sa.String(120), nullable=True),
        sa.Column("filename", sa.String(300), nullable=False),
        sa.Column("purpose", sa.String(40), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("kind", sa.String(12), nullable=False),
        sa.Column("examples", sa.Integer(), nullable=False),
        sa.Column("tokens_most", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
    )
    op.create_index("cloud_files_by_tenant", "cloud_files", ["tenant_id", "id"])
    op.create_index("cloud_files_by_content", "cloud_files", ["tenant_id", "sha256"])
    op.create_table(
        "cloud_tuning_jobs",
        sa.Column("id", sa.String(60), primary_key=True),
        sa.Column("tenant_id", sa.String(80), nullable=False),
        sa.Column("key_id", sa.String(40), nullable=True),
        sa.Column("subject_id", sa.String(120), nullable=True),
        sa.Column("state", sa.String(20), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("model", sa.String(300), nullable=False),
        sa.Column("upstream", sa.String(80), nullable=False),
        sa.Column("upstream_model", sa.String(300), nullable=False),
        sa.Column("base", sa.String(200), nullable=False),
        sa.Column("base_sha256", sa.String(64), nullable=False),
        sa.Column("training_file", sa.String(60), nullable=False),
        sa.Column("validation_file", sa.String(60), nullable=True),
        sa.Column("suffix", sa.String(80), nullable=False),
        sa.Column("asked", sa.JSON(), nullable=False),
        sa.Column("recipe", sa.JSON(), nullable=False),
        sa.Column("metadata", sa.JSON(), nullable=False),
        sa.Column("price_micros", sa.BigInteger(), nullable=False),
        sa.Column("run_id", sa.String(80), nullable=True),
        sa.Column("step", sa.Integer(), nullable=False),
        sa.Column("steps", sa.Integer(), nullable=False),
        sa.Column("trained_tokens", sa.BigInteger(), nullable=False),
        sa.Column("estimated_finish", sa.DateTime(timezone=True), nullable=True),
        sa.Column("error", sa.JSON(), nullable=False),
        sa.Column("model_name", sa.String(200), nullable=False),
        sa.Column("result_file", sa.String(60), nullable=False),
    )
    op.create_index("cloud_tuning_jobs_by_tenant", "cloud_tuning_jobs", ["tenant_id", "id"])
    op.create_table(
        "cloud_tuning_events",
        sa.Column("job_id", sa.String(60), primary_key=True),
        sa.Column("place", sa.BigInteger(), primary_key=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("level", sa.String(8), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("data", sa.JSON(), nullable=False),
    )
    op.create_table(
        "cloud_tuned_models",
        sa.Column("name", sa.String(200), primary_key=True),
        sa.Column("checkpoint_id", sa.String(60), nullable=False),
        sa.Column("tenant_id", sa.String(80), nullable=False),
        sa.Column("job_id", sa.String(60), nullable=False),
        sa.Column("artifact_id", sa.String(80), nullable=False),
        sa.Column("upstream", sa.String(80), nullable=False),
        sa.Column("upstream_model", sa.String(300), nullable=False),
        sa.Column("base", sa.String(200), nullable=False),
        sa.Column("step", sa.Integer(), nullable=False),
        sa.Column("train_loss", sa.Float(), nullable=True),
        sa.Column("valid_loss", sa.Float(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
    )
    op.create_index("cloud_tuned_models_by_job", "cloud_tuned_models", ["job_id", "step"])


def downgrade() -> None:
    op.drop_table("cloud_tuned_models")
    op.drop_table("cloud_tuning_events")
    op.drop_table("cloud_tuning_jobs")
    op.drop_table("cloud_files")
