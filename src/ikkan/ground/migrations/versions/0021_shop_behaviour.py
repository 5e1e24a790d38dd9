"""What people did in a shop, what they were shown, and what merchants decide about it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0021_shop_behaviour"
down_revision = "0020_shop_shelf"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "shop_behaviour",
        sa.Column("seq", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=True),
        sa.Column("tenant_id", sa.String(80), nullable=False),
        sa.Column("event_id", sa.String(120), nullable=False),
        sa.Column("subject_id", sa.String(120), nullable=False),
        sa.Column("deed", sa.SmallInteger(), nullable=False),
        sa.Column("at_us", sa.BigInteger(), nullable=False),
        sa.Column("told_us", sa.BigInteger(), nullable=True),
        sa.Column("product_id", sa.String(80), nullable=True),
        sa.Column("impression_id", sa.String(80), nullable=True),
        sa.Column("more", sa.LargeBinary(), nullable=True),
        sa.Column("recorded_us", sa.BigInteger(), nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("shop_behaviour_by_event", "shop_behaviour", ["tenant_id", "event_id"], unique=True)
    op.create_index("shop_behaviour_by_person", "shop_behaviour", ["tenant_id", "subject_id", "at_us"])
    op.create_index("shop_behaviour_by_time", "shop_behaviour", ["tenant_id", "at_us"])
    op.create_table(
        "shop_behaviour_told",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("seq", sa.BigInteger(), nullable=False),
    )
    op.create_table(
        "shop_exposures",
        sa.Column("tenant_id", sa.String(80), primary_key=True),
        sa.Column("impression_id", sa.String(80), primary_key=True),
        sa.Column("subject_id", sa.String(120), nullable=False),
        sa.Column("surface", sa.String(20), nullable=False),
        sa.Column("at_us", sa.BigInteger(), nullable=False),
        sa.Column("model", sa.String(120), nullable=False),
        sa.Column("places", sa.LargeBinary(), nullable=False),
        sa.Column("pools", sa.LargeBinary(), nullable=True),
    )
    op.create_index("shop_exposures_by_person", "shop_exposures", ["tenant_id", "subject_id", "at_us"])
    op.create_index("shop_exposures_by_time", "shop_exposures", ["tenant_id", "at_us"])
    op.create_table(
        "shop_merchant_rules",
        sa.Column("tenant_id", sa.String(80), primary_key=True),
        sa.Column("rule_id", sa.String(80), primary_key=True),
        sa.Column("rule", sa.JSON(), nullable=False),
        sa.Column("is_dropped", sa.Boolean(), nullable=False),
        sa.Column("changed_us", sa.BigInteger(), nullable=False),
    )


def downgrade() -> None:
    for table in ("shop_merchant_rules", "shop_exposures", "shop_behaviour_told", "shop_behaviour"):
        op.drop_table(table)
