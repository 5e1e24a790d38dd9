"""Meetings: their words, what was drawn out of them, and the index they are found by."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012_meetings"
down_revision = "0011_tuning"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "meetings_meetings",
        sa.Column("number", sa.Integer(), primary_key=True, autoincrement=True),
        sa.Column("id", sa.String(60), nullable=False, unique=True),
        sa.Column("tenant_id", sa.String(80), nullable=False),
        sa.Column("owner_id", sa.String(120), nullable=True),
        sa.Column("title", sa.String(300), nullable=False),
        sa.Column("language", sa.String(8), nullable=False),
        sa.Column("held_on", sa.Date(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("audience", sa.String(12), nullable=False),
        sa.Column("state", sa.String(12), nullable=False),
        sa.Column("job_id", sa.String(80), nullable=False),
        sa.Column("segments", sa.Integer(), nullable=False),
        sa.Column("length_s", sa.Float(), nullable=True),
        sa.Column("remarks", sa.JSON(), nullable=False),
        sa.Column("impression_id", sa.String(80), nullable=False),
    )
    op.create_index("meetings_meetings_by_tenant", "meetings_meetings", ["tenant_id", "number"])
    op.create_table(
        "meetings_words",
        sa.Column("number", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
    )
    op.create_table(
        "meetings_readers",
        sa.Column("number", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("subject_id", sa.String(120), primary_key=True),
    )
    op.create_table(
        "meetings_speakers",
        sa.Column("number", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("label", sa.String(200), primary_key=True),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("subject_id", sa.String(120), nullable=True),
    )
    op.create_table(
        "meetings_items",
        sa.Column("number", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("id", sa.String(40), primary_key=True),
        sa.Column("kind", sa.String(20), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("evidence", sa.JSON(), nullable=False),
        sa.Column("made_by", sa.String(120), nullable=False),
        sa.Column("confidence", sa.Float(), nullable=False),
        sa.Column("owner", sa.String(200), nullable=True),
        sa.Column("due", sa.Date(), nullable=True),
        sa.Column("due_words", sa.String(200), nullable=True),
        sa.Column("status", sa.String(12), nullable=False),
        sa.Column("is_done", sa.Boolean(), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
    )
    op.create_index("meetings_items_by_kind", "meetings_items", ["kind", "number"])
    op.create_table(
        "meetings_parts",
        sa.Column("number", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("part", sa.String(12), primary_key=True),
        sa.Column("passages", sa.Integer(), nullable=False),
        sa.Column("grams", sa.BigInteger(), nullable=False),
    )
    op.create_table(
        "meetings_passages",
        sa.Column("number", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("part", sa.String(12), primary_key=True),
        sa.Column("place", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("speaker", sa.String(200), nullable=False),
        sa.Column("start_s", sa.Float(), nullable=True),
        sa.Column("evidence", sa.JSON(), nullable=False),
        sqlite_with_rowid=False,
    )
    # Rows of one gram lie together on the disk: a search reads them in one go.
    op.create_table(
        "meetings_postings",
        sa.Column("tenant_id", sa.String(80), primary_key=True),
        sa.Column("part", sa.String(12), primary_key=True),
        sa.Column("gram", sa.String(40), primary_key=True),
        sa.Column("number", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("packed", sa.LargeBinary(), nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index("meetings_postings_by_meeting", "meetings_postings", ["number", "part"])


def downgrade() -> None:
    for table in ("postings", "passages", "parts", "items", "speakers", "readers", "words", "meetings"):
        op.drop_table(f"meetings_{table}")
