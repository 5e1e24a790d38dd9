"""What a shop may suggest, and how often that changed."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0020_shop_shelf"
down_revision = "0016_meetings_hearing"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "shop_wares",
        sa.Column("tenant_id", sa.String(80), primary_key=True),
        sa.Column("product_id", sa.String(80), primary_key=True),
        sa.Column("name", sa.String(300), nullable=False),
        sa.Column("names", sa.JSON(), nullable=False),
        sa.Column("category", sa.String(300), nullable=False),
        sa.Column("price_micros", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.String(3), nullable=False),
        sa.Column("added_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("brand", sa.String(200), nullable=False),
        sa.Column("seller", sa.String(200), nullable=False),
        sa.Column("margin_share", sa.Float(), nullable=True),
        sa.Column("stock", sa.Integer(), nullable=True),
        sa.Column("attributes", sa.JSON(), nullable=False),
        sa.Column("tags", sa.JSON(), nullable=False),
        sa.Column("image", sa.String(1_000), nullable=False),
        sa.Column("is_listed", sa.Boolean(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
    )
    op.create_index("shop_wares_by_version", "shop_wares", ["tenant_id", "version"])
    op.create_table(
        "shop_shelves",
        sa.Column("tenant_id", sa.String(80), primary_key=True),
        sa.Column("version", sa.BigInteger(), nullable=False),
    )


def downgrade() -> None:
    op.drop_table("shop_shelves")
    op.drop_table("shop_wares")
