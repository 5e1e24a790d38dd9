"""Files that are brought in, what carriers say, offers of help, and tags of web pages."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0024_shop_data_in"
down_revision = "0023_shop_knowledge"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "shop_imports",
        sa.Column("tenant_id", sa.String(80), primary_key=True),
        sa.Column("import_id", sa.String(60), primary_key=True),
        sa.Column("kind", sa.String(12), nullable=False),
        sa.Column("filename", sa.String(300), nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("mapping", sa.JSON(), nullable=False),
        sa.Column("reading", sa.JSON(), nullable=False),
        sa.Column("state", sa.String(12), nullable=False),
        sa.Column("counts", sa.JSON(), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("total", sa.BigInteger(), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("error", sa.Text(), nullable=False),
    )
    op.create_index("shop_imports_by_file", "shop_imports", ["tenant_id", "sha256"])
    op.create_table(
        "shop_import_troubles",
        sa.Column("tenant_id", sa.String(80), primary_key=True),
        sa.Column("import_id", sa.String(60), primary_key=True),
        sa.Column("row", sa.BigInteger(), primary_key=True),
        sa.Column("field", sa.String(100), primary_key=True),
        sa.Column("value", sa.String(300), nullable=False),
        sa.Column("code", sa.String(40), nullable=False),
        sa.Column("wrong", sa.Text(), nullable=False),
        sa.Column("hint", sa.Text(), nullable=False),
    )
    op.create_table(
        "shop_import_marks",
        sa.Column("tenant_id", sa.String(80), primary_key=True),
        sa.Column("import_id", sa.String(60), primary_key=True),
        sa.Column("key", sa.String(90), primary_key=True),
        sa.Column("before", sa.JSON(), nullable=True),
        sa.Column("after_sha256", sa.String(64), nullable=False),
    )
    op.create_index("shop_import_marks_by_key", "shop_import_marks", ["tenant_id", "key"])
    op.create_table(
        "shop_mappings",
        sa.Column("tenant_id", sa.String(80), primary_key=True),
        sa.Column("kind", sa.String(12), primary_key=True),
        sa.Column("mapping", sa.JSON(), nullable=False),
    )
    op.create_table(
        "shop_deliveries",
        sa.Column("tenant_id", sa.String(80), primary_key=True),
        sa.Column("order_id", sa.String(80), primary_key=True),
        sa.Column("promised_on", sa.Date(), nullable=True),
        sa.Column("news", sa.String(40), nullable=False),
        sa.Column("said_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("told", sa.String(40), nullable=False),
    )
    op.create_index("shop_deliveries_by_promise", "shop_deliveries", ["tenant_id", "promised_on"])
    op.create_table(
        "shop_offers",
        sa.Column("tenant_id", sa.String(80), primary_key=True),
        sa.Column("offer_id", sa.String(60), primary_key=True),
        sa.Column("order_id", sa.String(80), nullable=False),
        sa.Column("kind", sa.String(12), nullable=False),
        sa.Column("customer_id", sa.String(80), nullable=False),
        sa.Column("subject_id", sa.String(120), nullable=False),
        sa.Column("talk_id", sa.String(60), nullable=False),
        sa.Column("state", sa.String(12), nullable=False),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("answered_at", sa.DateTime(timezone=True), nullable=True),
        sa.UniqueConstraint("tenant_id", "order_id", "kind", name="shop_offers_once"),
    )
    op.create_index("shop_offers_by_customer", "shop_offers", ["tenant_id", "customer_id"])
    op.create_index("shop_offers_by_subject", "shop_offers", ["tenant_id", "subject_id"])
    op.create_table(
        "shop_cares",
        sa.Column("tenant_id", sa.String(80), primary_key=True),
        sa.Column("offers_help", sa.Boolean(), nullable=False),
        sa.Column("grace_days", sa.Integer(), nullable=False),
        sa.Column("utc_offset", sa.String(10), nullable=False),
        sa.Column("language", sa.String(8), nullable=False),
    )
    op.create_table(
        "shop_tags",
        sa.Column("tenant_id", sa.String(80), primary_key=True),
        sa.Column("tag_id", sa.String(60), primary_key=True),
        sa.Column("key", sa.String(80), nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("origins", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.UniqueConstraint("key", name="shop_tags_key"),
    )


def downgrade() -> None:
    for table in (
        "shop_tags",
        "shop_cares",
        "shop_offers",
        "shop_deliveries",
        "shop_mappings",
        "shop_import_marks",
        "shop_import_troubles",
        "shop_imports",
    ):
        op.drop_table(table)
