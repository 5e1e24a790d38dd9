"""What a shopper said they want, and whether moods are used for them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0022_shop_moods"
down_revision = "0021_shop_behaviour"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "shop_moods",
        sa.Column("tenant_id", sa.String(80), primary_key=True),
        sa.Column("subject_id", sa.String(120), primary_key=True),
        sa.Column("is_off", sa.Boolean(), nullable=False),
        sa.Column("said", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
    )
    op.create_index("shop_moods_by_end", "shop_moods", ["expires_at"])


def downgrade() -> None:
    op.drop_table("shop_moods")
