"""What a shop sells, to whom, and what is said and agreed in its support."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0013_shop"
down_revision = "0012_meetings"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "shop_products",
        sa.Column("tenant_id", sa.String(80), primary_key=True),
        sa.Column("product_id", sa.String(80), primary_key=True),
        sa.Column("name", sa.String(300), nullable=False),
    )
    op.create_table(
        "shop_items",
        sa.Column("tenant_id", sa.String(80), primary_key=True),
        sa.Column("item_id", sa.String(80), primary_key=True),
        sa.Column("product_id", sa.String(80), nullable=False),
        sa.Column("options", sa.JSON(), nullable=False),
        sa.Column("price_micros", sa.BigInteger(), nullable=False),
        sa.Column("is_available", sa.Boolean(), nullable=False),
    )
    op.create_index("shop_items_by_product", "shop_items", ["tenant_id", "product_id"])
    op.create_table(
        "shop_customers",
        sa.Column("tenant_id", sa.String(80), primary_key=True),
        sa.Column("customer_id", sa.String(80), primary_key=True),
        sa.Column("subject_id", sa.String(120), nullable=False),
        sa.Column("first_name", sa.String(200), nullable=False),
        sa.Column("last_name", sa.String(200), nullable=False),
        sa.Column("email", sa.String(320), nullable=False),
        sa.Column("email_key", sa.String(320), nullable=False),
        sa.Column("name_key", sa.String(500), nullable=False),
        sa.Column("address", sa.JSON(), nullable=False),
    )
    op.create_index("shop_customers_by_email", "shop_customers", ["tenant_id", "email_key"])
    op.create_index("shop_customers_by_name", "shop_customers", ["tenant_id", "name_key"])
    op.create_index("shop_customers_by_subject", "shop_customers", ["tenant_id", "subject_id"])
    op.create_table(
        "shop_methods",
        sa.Column("tenant_id", sa.String(80), primary_key=True),
        sa.Column("customer_id", sa.String(80), primary_key=True),
        sa.Column("method_id", sa.String(80), primary_key=True),
        sa.Column("kind", sa.String(20), nullable=False),
        sa.Column("balance_micros", sa.BigInteger(), nullable=True),
        sa.Column("brand", sa.String(40), nullable=False),
        sa.Column("last_four", sa.String(4), nullable=False),
    )
    op.create_table(
        "shop_orders",
        sa.Column("tenant_id", sa.String(80), primary_key=True),
        sa.Column("order_id", sa.String(80), primary_key=True),
        sa.Column("customer_id", sa.String(80), nullable=False),
        sa.Column("status", sa.String(40), nullable=False),
        sa.Column("address", sa.JSON(), nullable=False),
        sa.Column("shipments", sa.JSON(), nullable=False),
        sa.Column("currency", sa.String(3), nullable=False),
        sa.Column("carrier", sa.String(40), nullable=False),
        sa.Column("cancel_reason", sa.String(200), nullable=True),
        sa.Column("returned", sa.JSON(), nullable=True),
        sa.Column("exchanged", sa.JSON(), nullable=True),
        sa.Column("version", sa.Integer(), nullable=False),
    )
    op.create_index("shop_orders_by_customer", "shop_orders", ["tenant_id", "customer_id"])
    op.create_table(
        "shop_lines",
        sa.Column("tenant_id", sa.String(80), primary_key=True),
        sa.Column("order_id", sa.String(80), primary_key=True),
        sa.Column("place", sa.Integer(), primary_key=True),
        sa.Column("name", sa.String(300), nullable=False),
        sa.Column("product_id", sa.String(80), nullable=False),
        sa.Column("item_id", sa.String(80), nullable=False),
        sa.Column("price_micros", sa.BigInteger(), nullable=False),
        sa.Column("options", sa.JSON(), nullable=False),
    )
    op.create_table(
        "shop_payments",
        sa.Column("tenant_id", sa.String(80), primary_key=True),
        sa.Column("order_id", sa.String(80), primary_key=True),
        sa.Column("place", sa.Integer(), primary_key=True),
        sa.Column("kind", sa.String(20), nullable=False),
        sa.Column("amount_micros", sa.BigInteger(), nullable=False),
        sa.Column("method_id", sa.String(80), nullable=False),
    )
    op.create_table(
        "shop_talks",
        sa.Column("tenant_id", sa.String(80), primary_key=True),
        sa.Column("talk_id", sa.String(60), primary_key=True),
        sa.Column("subject_id", sa.String(120), nullable=True),
        sa.Column("customer_id", sa.String(80), nullable=True),
        sa.Column("language", sa.String(8), nullable=False),
        sa.Column("state", sa.String(12), nullable=False),
        sa.Column("guide", sa.JSON(), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("began_at", sa.DateTime(timezone=True), nullable=False),
    )
    op.create_index("shop_talks_by_customer", "shop_talks", ["tenant_id", "customer_id"])
    op.create_table(
        "shop_said",
        sa.Column("tenant_id", sa.String(80), primary_key=True),
        sa.Column("said_id", sa.String(60), primary_key=True),
        sa.Column("talk_id", sa.String(60), nullable=False),
        sa.Column("who", sa.String(12), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
    )
    op.create_index("shop_said_by_talk", "shop_said", ["tenant_id", "talk_id", "said_id"])
    op.create_table(
        "shop_proposals",
        sa.Column("tenant_id", sa.String(80), primary_key=True),
        sa.Column("proposal_id", sa.String(60), primary_key=True),
        sa.Column("talk_id", sa.String(60), nullable=False),
        sa.Column("customer_id", sa.String(80), nullable=False),
        sa.Column("tool", sa.String(40), nullable=False),
        sa.Column("arguments", sa.JSON(), nullable=False),
        sa.Column("state_sha256", sa.String(64), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("state", sa.String(12), nullable=False),
        sa.Column("asked_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("undo_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("undo", sa.JSON(), nullable=False),
    )
    op.create_index("shop_proposals_by_customer", "shop_proposals", ["tenant_id", "customer_id"])
    op.create_index("shop_proposals_by_talk", "shop_proposals", ["tenant_id", "talk_id", "proposal_id"])
    op.create_table(
        "shop_inbox",
        sa.Column("tenant_id", sa.String(80), primary_key=True),
        sa.Column("entry_id", sa.String(60), primary_key=True),
        sa.Column("talk_id", sa.String(60), nullable=False),
        sa.Column("customer_id", sa.String(80), nullable=True),
        sa.Column("reason", sa.String(40), nullable=False),
        sa.Column("summary", sa.Text(), nullable=False),
        sa.Column("state", sa.String(12), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
    )
    op.create_index("shop_inbox_by_state", "shop_inbox", ["tenant_id", "state", "created_at"])


def downgrade() -> None:
    for table in (
        "shop_inbox",
        "shop_proposals",
        "shop_said",
        "shop_talks",
        "shop_payments",
        "shop_lines",
        "shop_orders",
        "shop_methods",
        "shop_customers",
        "shop_items",
        "shop_products",
    ):
        op.drop_table(table)
