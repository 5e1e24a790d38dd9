"""Tenants, keys, budgets, the meter, the ledger, and what requests are routed by."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003_cloud"
down_revision = "0002_models"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "cloud_tenants",
        sa.Column("id", sa.String(80), primary_key=True),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
    )
    op.create_table(
        "cloud_keys",
        sa.Column("id", sa.String(40), primary_key=True),
        sa.Column("tenant_id", sa.String(80), sa.ForeignKey("cloud_tenants.id"), nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("secret_hash", sa.LargeBinary(), nullable=False),
        sa.Column("scopes", sa.String(200), nullable=False),
        sa.Column("subject_id", sa.String(120), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
    )
    op.create_index("cloud_keys_by_tenant", "cloud_keys", ["tenant_id", "created_at"])
    op.create_table(
        "cloud_budgets",
        sa.Column("owner", sa.String(120), primary_key=True),
        sa.Column("currency", sa.String(3), nullable=False),
        sa.Column("limit_micros", sa.BigInteger(), nullable=True),
        sa.Column("held_micros", sa.BigInteger(), nullable=False),
        sa.Column("spent_micros", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("held_micros >= 0", name="cloud_budgets_held"),
    )
    op.create_table(
        "cloud_meter",
        sa.Column("request_id", sa.String(80), primary_key=True),
        sa.Column("attempt", sa.Integer(), primary_key=True),
        sa.Column("state", sa.String(12), nullable=False),
        sa.Column("tenant_id", sa.String(80), nullable=False),
        sa.Column("key_id", sa.String(40), nullable=True),
        sa.Column("subject_id", sa.String(120), nullable=True),
        sa.Column("endpoint", sa.String(20), nullable=False),
        sa.Column("model", sa.String(300), nullable=False),
        sa.Column("upstream", sa.String(80), nullable=False),
        sa.Column("upstream_model", sa.String(300), nullable=False),
        sa.Column("day", sa.String(10), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("input_tokens", sa.BigInteger(), nullable=False),
        sa.Column("cached_tokens", sa.BigInteger(), nullable=False),
        sa.Column("output_tokens", sa.BigInteger(), nullable=False),
        sa.Column("estimated", sa.Boolean(), nullable=False),
        sa.Column("priced", sa.Boolean(), nullable=False),
        sa.Column("reserved_micros", sa.BigInteger(), nullable=False),
        sa.Column("cost_micros", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.String(3), nullable=False),
        sa.Column("outcome", sa.String(60), nullable=True),
        sa.Column("latency_ms", sa.Float(), nullable=True),
        sa.Column("first_token_ms", sa.Float(), nullable=True),
    )
    op.create_index("cloud_meter_by_day", "cloud_meter", ["tenant_id", "day"])
    op.create_index("cloud_meter_by_state", "cloud_meter", ["state", "started_at"])
    op.create_table(
        "cloud_ledger",
        sa.Column("id", sa.String(36), primary_key=True),
        sa.Column("request_id", sa.String(80), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(12), nullable=False),
        sa.Column("side", sa.String(6), nullable=False),
        sa.Column("account", sa.String(160), nullable=False),
        sa.Column("amount_micros", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.String(3), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.UniqueConstraint("request_id", "attempt", "kind", "side", name="cloud_ledger_once"),
    )
    op.create_index("cloud_ledger_by_account", "cloud_ledger", ["account", "at"])
    op.create_table(
        "cloud_upstreams",
        sa.Column("name", sa.String(80), primary_key=True),
        sa.Column("url", sa.String(500), nullable=False),
        sa.Column("key_env", sa.String(120), nullable=True),
        sa.Column("sealed_key", sa.LargeBinary(), nullable=True),
        sa.Column("quirks", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
    )
    op.create_table(
        "cloud_prices",
        sa.Column("upstream", sa.String(80), primary_key=True),
        sa.Column("model", sa.String(300), primary_key=True),
        sa.Column("currency", sa.String(3), nullable=False),
        sa.Column("input_micros", sa.BigInteger(), nullable=False),
        sa.Column("cached_micros", sa.BigInteger(), nullable=False),
        sa.Column("output_micros", sa.BigInteger(), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
    )
    op.create_table(
        "cloud_aliases",
        sa.Column("name", sa.String(200), primary_key=True),
        sa.Column("targets", sa.JSON(), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
    )
    op.create_table(
        "cloud_versions",
        sa.Column("name", sa.String(40), primary_key=True),
        sa.Column("version", sa.BigInteger(), nullable=False),
    )


def downgrade() -> None:
    raise NotImplementedError("restore the backup made before the upgrade")
