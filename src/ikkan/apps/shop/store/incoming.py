"""Tables of what comes in: files and what they changed, carriers' news, offers of help, tags of web pages."""

from __future__ import annotations

import sqlalchemy as sa

from ikkan.apps.shop.store.tables import metadata, whose
from ikkan.ground.db import UtcDateTime

imports = sa.Table(
    "shop_imports",
    metadata,
    whose(),
    sa.Column("import_id", sa.String(60), primary_key=True),
    sa.Column("kind", sa.String(12), nullable=False),
    sa.Column("filename", sa.String(300), nullable=False),
    sa.Column("sha256", sa.String(64), nullable=False),
    sa.Column("mapping", sa.JSON, nullable=False),
    sa.Column("reading", sa.JSON, nullable=False),
    sa.Column("state", sa.String(12), nullable=False),
    sa.Column("counts", sa.JSON, nullable=False),
    sa.Column("position", sa.BigInteger, nullable=False),
    sa.Column("total", sa.BigInteger, nullable=False),
    sa.Column("started_at", UtcDateTime, nullable=False),
    sa.Column("ended_at", UtcDateTime, nullable=True),
    sa.Column("error", sa.Text, nullable=False),
    sa.Index("shop_imports_by_file", "tenant_id", "sha256"),
)

troubles = sa.Table(
    "shop_import_troubles",
    metadata,
    whose(),
    sa.Column("import_id", sa.String(60), primary_key=True),
    sa.Column("row", sa.BigInteger, primary_key=True),
    sa.Column("field", sa.String(100), primary_key=True),
    sa.Column("value", sa.String(300), nullable=False),
    sa.Column("code", sa.String(40), nullable=False),
    sa.Column("wrong", sa.Text, nullable=False),
    sa.Column("hint", sa.Text, nullable=False),
)

marks = sa.Table(
    "shop_import_marks",
    metadata,
    whose(),
    sa.Column("import_id", sa.String(60), primary_key=True),
    sa.Column("key", sa.String(90), primary_key=True),
    sa.Column("before", sa.JSON(none_as_null=True), nullable=True),
    sa.Column("after_sha256", sa.String(64), nullable=False),
    sa.Index("shop_import_marks_by_key", "tenant_id", "key"),
)

mappings = sa.Table(
    "shop_mappings",
    metadata,
    whose(),
    sa.Column("kind", sa.String(12), primary_key=True),
    sa.Column("mapping", sa.JSON, nullable=False),
)

deliveries = sa.Table(
    "shop_deliveries",
    metadata,
    whose(),
    sa.Column("order_id", sa.String(80), primary_key=True),
    sa.Column("promised_on", sa.Date, nullable=True),
    sa.Column("news", sa.String(40), nullable=False),
    sa.Column("said_at", UtcDateTime, nullable=True),
    sa.Column("told", sa.String(40), nullable=False),
    sa.Index("shop_deliveries_by_promise", "tenant_id", "promised_on"),
)

offers = sa.Table(
    "shop_offers",
    metadata,
    whose(),
    sa.Column("offer_id", sa.String(60), primary_key=True),
    sa.Column("order_id", sa.String(80), nullable=False),
    sa.Column("kind", sa.String(12), nullable=False),
    sa.Column("customer_id", sa.String(80), nullable=False),
    sa.Column("subject_id", sa.String(120), nullable=False),
    sa.Column("talk_id", sa.String(60), nullable=False),
    sa.Column("state", sa.String(12), nullable=False),
    sa.Column("made_at", UtcDateTime, nullable=False),
    sa.Column("answered_at", UtcDateTime, nullable=True),
    sa.UniqueConstraint("tenant_id", "order_id", "kind", name="shop_offers_once"),
    sa.Index("shop_offers_by_customer", "tenant_id", "customer_id"),
    sa.Index("shop_offers_by_subject", "tenant_id", "subject_id"),
)

cares = sa.Table(
    "shop_cares",
    metadata,
    whose(),
    sa.Column("offers_help", sa.Boolean, nullable=False),
    sa.Column("grace_days", sa.Integer, nullable=False),
    sa.Column("utc_offset", sa.String(10), nullable=False),
    sa.Column("language", sa.String(8), nullable=False),
)

tags = sa.Table(
    "shop_tags",
    metadata,
    whose(),
    sa.Column("tag_id", sa.String(60), primary_key=True),
    sa.Column("key", sa.String(80), nullable=False),
    sa.Column("name", sa.String(200), nullable=False),
    sa.Column("origins", sa.JSON, nullable=False),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("revoked_at", UtcDateTime, nullable=True),
    sa.UniqueConstraint("key", name="shop_tags_key"),
)
