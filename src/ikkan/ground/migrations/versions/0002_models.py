"""Names of things that are trained, the artifacts that may serve under them, their aliases, and how they changed."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002_models"
down_revision = "0001_ground"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "models_names",
        sa.Column("name", sa.String(120), primary_key=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
    )
    op.create_table(
        "models_artifacts",
        sa.Column("name", sa.String(120), sa.ForeignKey("models_names.name"), primary_key=True),
        sa.Column("artifact_id", sa.String(80), primary_key=True),
        sa.Column("facts", sa.JSON(), nullable=False),
        sa.Column("registered_at", sa.DateTime(timezone=True), nullable=False),
    )
    op.create_table(
        "models_aliases",
        sa.Column("name", sa.String(120), primary_key=True),
        sa.Column("alias", sa.String(20), primary_key=True),
        sa.Column("artifact_id", sa.String(80), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["name", "artifact_id"], ["models_artifacts.name", "models_artifacts.artifact_id"]),
    )
    op.create_table(
        "models_history",
        sa.Column("id", sa.String(48), primary_key=True),
        sa.Column("name", sa.String(120), nullable=False),
        sa.Column("deed", sa.String(20), nullable=False),
        sa.Column("alias", sa.String(20), nullable=False),
        sa.Column("artifact_id", sa.String(80), nullable=True),
        sa.Column("replaced_id", sa.String(80), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
    )
    op.create_index("models_history_by_name", "models_history", ["name", "id"])


def downgrade() -> None:
    raise NotImplementedError("restore the backup made before the upgrade")
