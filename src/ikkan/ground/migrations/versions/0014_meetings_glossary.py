"""Meetings: a company's glossary, by which level each meeting is drawn out, and what is told to other systems."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0014_meetings_glossary"
down_revision = "0013_shop"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "meetings_glossary",
        sa.Column("tenant_id", sa.String(80), primary_key=True),
        sa.Column("heard", sa.String(200), primary_key=True),
        sa.Column("written", sa.String(200), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
    )
    op.create_table(
        "meetings_plans",
        sa.Column("number", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("level", sa.Integer(), nullable=False),
        sa.Column("form", sa.String(40), nullable=False),
        sa.Column("key_id", sa.String(80), nullable=True),
        sa.Column("subject_id", sa.String(120), nullable=True),
        sa.Column("made_level", sa.Integer(), nullable=True),
        sa.Column("model", sa.String(200), nullable=False),
        sa.Column("remarks", sa.JSON(), nullable=False),
    )
    op.create_table(
        "meetings_policies",
        sa.Column("tenant_id", sa.String(80), primary_key=True),
        sa.Column("level", sa.Integer(), nullable=True),
        sa.Column("hook_url", sa.String(2000), nullable=False),
        sa.Column("hook_secret", sa.LargeBinary(), nullable=True),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
    )
    op.create_table(
        "meetings_deliveries",
        sa.Column("id", sa.String(60), primary_key=True),
        sa.Column("tenant_id", sa.String(80), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("item_id", sa.String(40), nullable=False),
        sa.Column("event", sa.String(40), nullable=False),
        sa.Column("state", sa.String(12), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("told", sa.String(300), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
    )
    op.create_index("meetings_deliveries_by_tenant", "meetings_deliveries", ["tenant_id", "created_at"])
    op.create_index("meetings_deliveries_by_meeting", "meetings_deliveries", ["number"])


def downgrade() -> None:
    for table in ("deliveries", "policies", "plans", "glossary"):
        op.drop_table(f"meetings_{table}")
