"""Documents of a merchant, from which support answers questions."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0023_shop_knowledge"
down_revision = "0022_shop_moods"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "shop_documents",
        sa.Column("tenant_id", sa.String(80), primary_key=True),
        sa.Column("document_id", sa.String(80), primary_key=True),
        sa.Column("name", sa.String(300), nullable=False),
        sa.Column("title", sa.String(300), nullable=False),
        sa.Column("passages", sa.JSON(), nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("added_at", sa.DateTime(timezone=True), nullable=False),
    )


def downgrade() -> None:
    op.drop_table("shop_documents")
