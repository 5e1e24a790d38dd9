"""The sound of meetings, what was heard of it so far, and uploads that may be resumed."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0016_meetings_hearing"
down_revision = "0015_meetings_vectors"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "meetings_sounds",
        sa.Column("number", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("file", sa.String(60), nullable=False, unique=True),
        sa.Column("key", sa.LargeBinary(), nullable=False),
        sa.Column("media_type", sa.String(80), nullable=False),
        sa.Column("filename", sa.String(300), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("heard_s", sa.Float(), nullable=False),
        sa.Column("is_heard", sa.Boolean(), nullable=False),
    )
    op.create_table(
        "meetings_heard",
        sa.Column("number", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("place", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("speaker", sa.String(200), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("start_s", sa.Float(), nullable=True),
        sa.Column("end_s", sa.Float(), nullable=True),
        sa.Column("confidence", sa.Float(), nullable=True),
    )
    op.create_table(
        "meetings_live",
        sa.Column("number", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("captions", sa.Integer(), nullable=False),
        sa.Column("began_at", sa.DateTime(timezone=True), nullable=False),
    )
    op.create_table(
        "meetings_uploads",
        sa.Column("id", sa.String(60), primary_key=True),
        sa.Column("tenant_id", sa.String(80), nullable=False),
        sa.Column("subject_id", sa.String(120), nullable=True),
        sa.Column("filename", sa.String(300), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("fields", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
    )
    op.create_index("meetings_uploads_by_tenant", "meetings_uploads", ["tenant_id"])


def downgrade() -> None:
    for table in ("meetings_uploads", "meetings_live", "meetings_heard", "meetings_sounds"):
        op.drop_table(table)
