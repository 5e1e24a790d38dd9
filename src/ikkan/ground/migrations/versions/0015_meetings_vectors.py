"""What passages of meetings mean, as numbers."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0015_meetings_vectors"
down_revision = "0014_meetings_glossary"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "meetings_vectors",
        sa.Column("number", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("part", sa.String(12), primary_key=True),
        sa.Column("place", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("packed", sa.LargeBinary(), nullable=False),
        sqlite_with_rowid=False,
    )


def downgrade() -> None:
    op.drop_table("meetings_vectors")
