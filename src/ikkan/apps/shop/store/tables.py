"""The tables themselves."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from ikkan.ground.db import UtcDateTime

metadata = sa.MetaData()


def insert(connection: sa.Connection, table: sa.Table) -> Any:
    """An INSERT that knows ON CONFLICT, in the dialect's own class."""
    return (sqlite if connection.dialect.name == "sqlite" else postgresql).insert(table)


def whose() -> sa.Column[str]:
    """The column every table of a shop begins with."""
    return sa.Column("tenant_id", sa.String(80), primary_key=True)


products = sa.Table(
    "shop_products",
    metadata,
    whose(),
    sa.Column("product_id", sa.String(80), primary_key=True),
    sa.Column("name", sa.String(300), nullable=False),
)

items = sa.Table(
    "shop_items",
    metadata,
    whose(),
    sa.Column("item_id", sa.String(80), primary_key=True),
    sa.Column("product_id", sa.String(80), nullable=False),
    sa.Column("options", sa.JSON, nullable=False),
    sa.Column("price_micros", sa.BigInteger, nullable=False),
    sa.Column("is_available", sa.Boolean, nullable=False),
    sa.Index("shop_items_by_product", "tenant_id", "product_id"),
)

documents = sa.Table(
    "shop_documents",
    metadata,
    whose(),
    sa.Column("document_id", sa.String(80), primary_key=True),
    sa.Column("name", sa.String(300), nullable=False),
    sa.Column("title", sa.String(300), nullable=False),
    sa.Column("passages", sa.JSON, nullable=False),
    sa.Column("sha256", sa.String(64), nullable=False),
    sa.Column("added_at", UtcDateTime, nullable=False),
)

wares = sa.Table(
    "shop_wares",
    metadata,
    whose(),
    sa.Column("product_id", sa.String(80), primary_key=True),
    sa.Column("name", sa.String(300), nullable=False),
    sa.Column("names", sa.JSON, nullable=False),
    sa.Column("category", sa.String(300), nullable=False),
    sa.Column("price_micros", sa.BigInteger, nullable=False),
    sa.Column("currency", sa.String(3), nullable=False),
    sa.Column("added_at", UtcDateTime, nullable=False),
    sa.Column("description", sa.Text, nullable=False),
    sa.Column("brand", sa.String(200), nullable=False),
    sa.Column("seller", sa.String(200), nullable=False),
    sa.Column("margin_share", sa.Float, nullable=True),
    sa.Column("stock", sa.Integer, nullable=True),
    sa.Column("attributes", sa.JSON, nullable=False),
    sa.Column("tags", sa.JSON, nullable=False),
    sa.Column("image", sa.String(1_000), nullable=False),
    sa.Column("is_listed", sa.Boolean, nullable=False),
    sa.Column("version", sa.BigInteger, nullable=False),
    sa.Index("shop_wares_by_version", "tenant_id", "version"),
)

shelves = sa.Table(
    "shop_shelves",
    metadata,
    whose(),
    sa.Column("version", sa.BigInteger, nullable=False),
)

behaviour = sa.Table(
    "shop_behaviour",
    metadata,
    sa.Column("seq", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=True),
    sa.Column("tenant_id", sa.String(80), nullable=False),
    sa.Column("event_id", sa.String(120), nullable=False),
    sa.Column("subject_id", sa.String(120), nullable=False),
    sa.Column("deed", sa.SmallInteger, nullable=False),
    sa.Column("at_us", sa.BigInteger, nullable=False),
    sa.Column("told_us", sa.BigInteger, nullable=True),
    sa.Column("product_id", sa.String(80), nullable=True),
    sa.Column("impression_id", sa.String(80), nullable=True),
    sa.Column("more", sa.LargeBinary, nullable=True),
    sa.Column("recorded_us", sa.BigInteger, nullable=False),
    sa.Index("shop_behaviour_by_event", "tenant_id", "event_id", unique=True),
    sa.Index("shop_behaviour_by_person", "tenant_id", "subject_id", "at_us"),
    sa.Index("shop_behaviour_by_time", "tenant_id", "at_us"),
    sqlite_autoincrement=True,
)

behaviour_told = sa.Table(
    "shop_behaviour_told",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("seq", sa.BigInteger, nullable=False),
)

exposures = sa.Table(
    "shop_exposures",
    metadata,
    whose(),
    sa.Column("impression_id", sa.String(80), primary_key=True),
    sa.Column("subject_id", sa.String(120), nullable=False),
    sa.Column("surface", sa.String(20), nullable=False),
    sa.Column("at_us", sa.BigInteger, nullable=False),
    sa.Column("model", sa.String(120), nullable=False),
    sa.Column("places", sa.LargeBinary, nullable=False),
    sa.Column("pools", sa.LargeBinary, nullable=True),
    sa.Index("shop_exposures_by_person", "tenant_id", "subject_id", "at_us"),
    sa.Index("shop_exposures_by_time", "tenant_id", "at_us"),
)

merchant_rules = sa.Table(
    "shop_merchant_rules",
    metadata,
    whose(),
    sa.Column("rule_id", sa.String(80), primary_key=True),
    sa.Column("rule", sa.JSON, nullable=False),
    sa.Column("is_dropped", sa.Boolean, nullable=False),
    sa.Column("changed_us", sa.BigInteger, nullable=False),
)

customers = sa.Table(
    "shop_customers",
    metadata,
    whose(),
    sa.Column("customer_id", sa.String(80), primary_key=True),
    sa.Column("subject_id", sa.String(120), nullable=False),
    sa.Column("first_name", sa.String(200), nullable=False),
    sa.Column("last_name", sa.String(200), nullable=False),
    sa.Column("email", sa.String(320), nullable=False),
    sa.Column("email_key", sa.String(320), nullable=False),
    sa.Column("name_key", sa.String(500), nullable=False),
    sa.Column("address", sa.JSON, nullable=False),
    sa.Index("shop_customers_by_email", "tenant_id", "email_key"),
    sa.Index("shop_customers_by_name", "tenant_id", "name_key"),
    sa.Index("shop_customers_by_subject", "tenant_id", "subject_id"),
)

methods = sa.Table(
    "shop_methods",
    metadata,
    whose(),
    sa.Column("customer_id", sa.String(80), primary_key=True),
    sa.Column("method_id", sa.String(80), primary_key=True),
    sa.Column("kind", sa.String(20), nullable=False),
    sa.Column("balance_micros", sa.BigInteger, nullable=True),
    sa.Column("brand", sa.String(40), nullable=False),
    sa.Column("last_four", sa.String(4), nullable=False),
)

orders = sa.Table(
    "shop_orders",
    metadata,
    whose(),
    sa.Column("order_id", sa.String(80), primary_key=True),
    sa.Column("customer_id", sa.String(80), nullable=False),
    sa.Column("status", sa.String(40), nullable=False),
    sa.Column("address", sa.JSON, nullable=False),
    sa.Column("shipments", sa.JSON, nullable=False),
    sa.Column("currency", sa.String(3), nullable=False),
    sa.Column("carrier", sa.String(40), nullable=False),
    sa.Column("cancel_reason", sa.String(200), nullable=True),
    sa.Column("returned", sa.JSON(none_as_null=True), nullable=True),
    sa.Column("exchanged", sa.JSON(none_as_null=True), nullable=True),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Index("shop_orders_by_customer", "tenant_id", "customer_id"),
)

lines = sa.Table(
    "shop_lines",
    metadata,
    whose(),
    sa.Column("order_id", sa.String(80), primary_key=True),
    sa.Column("place", sa.Integer, primary_key=True),
    sa.Column("name", sa.String(300), nullable=False),
    sa.Column("product_id", sa.String(80), nullable=False),
    sa.Column("item_id", sa.String(80), nullable=False),
    sa.Column("price_micros", sa.BigInteger, nullable=False),
    sa.Column("options", sa.JSON, nullable=False),
)

payments = sa.Table(
    "shop_payments",
    metadata,
    whose(),
    sa.Column("order_id", sa.String(80), primary_key=True),
    sa.Column("place", sa.Integer, primary_key=True),
    sa.Column("kind", sa.String(20), nullable=False),
    sa.Column("amount_micros", sa.BigInteger, nullable=False),
    sa.Column("method_id", sa.String(80), nullable=False),
)

talks = sa.Table(
    "shop_talks",
    metadata,
    whose(),
    sa.Column("talk_id", sa.String(60), primary_key=True),
    sa.Column("subject_id", sa.String(120), nullable=True),
    sa.Column("customer_id", sa.String(80), nullable=True),
    sa.Column("language", sa.String(8), nullable=False),
    sa.Column("state", sa.String(12), nullable=False),
    sa.Column("guide", sa.JSON, nullable=False),
    sa.Column("tries", sa.Integer, nullable=False),
    sa.Column("began_at", UtcDateTime, nullable=False),
    sa.Index("shop_talks_by_customer", "tenant_id", "customer_id"),
)

said = sa.Table(
    "shop_said",
    metadata,
    whose(),
    sa.Column("said_id", sa.String(60), primary_key=True),
    sa.Column("talk_id", sa.String(60), nullable=False),
    sa.Column("who", sa.String(12), nullable=False),
    sa.Column("text", sa.Text, nullable=False),
    sa.Column("at", UtcDateTime, nullable=False),
    sa.Index("shop_said_by_talk", "tenant_id", "talk_id", "said_id"),
)

proposals = sa.Table(
    "shop_proposals",
    metadata,
    whose(),
    sa.Column("proposal_id", sa.String(60), primary_key=True),
    sa.Column("talk_id", sa.String(60), nullable=False),
    sa.Column("customer_id", sa.String(80), nullable=False),
    sa.Column("tool", sa.String(40), nullable=False),
    sa.Column("arguments", sa.JSON, nullable=False),
    sa.Column("state_sha256", sa.String(64), nullable=False),
    sa.Column("digest", sa.String(64), nullable=False),
    sa.Column("state", sa.String(12), nullable=False),
    sa.Column("asked_at", UtcDateTime, nullable=False),
    sa.Column("expires_at", UtcDateTime, nullable=False),
    sa.Column("undo_until", UtcDateTime, nullable=True),
    sa.Column("undo", sa.JSON, nullable=False),
    sa.Index("shop_proposals_by_talk", "tenant_id", "talk_id", "proposal_id"),
    sa.Index("shop_proposals_by_customer", "tenant_id", "customer_id"),
)

inbox = sa.Table(
    "shop_inbox",
    metadata,
    whose(),
    sa.Column("entry_id", sa.String(60), primary_key=True),
    sa.Column("talk_id", sa.String(60), nullable=False),
    sa.Column("customer_id", sa.String(80), nullable=True),
    sa.Column("reason", sa.String(40), nullable=False),
    sa.Column("summary", sa.Text, nullable=False),
    sa.Column("state", sa.String(12), nullable=False),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Index("shop_inbox_by_state", "tenant_id", "state", "created_at"),
)

moods = sa.Table(
    "shop_moods",
    metadata,
    whose(),
    sa.Column("subject_id", sa.String(120), primary_key=True),
    sa.Column("is_off", sa.Boolean, nullable=False),
    sa.Column("said", sa.JSON(none_as_null=True), nullable=True),
    sa.Column("expires_at", UtcDateTime, nullable=True),
    sa.Column("changed_at", UtcDateTime, nullable=False),
    sa.Index("shop_moods_by_end", "expires_at"),
)
