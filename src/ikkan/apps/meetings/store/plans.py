"""How meetings are drawn out, one row each, and what a company set for all of them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from ikkan.apps.meetings.store.tables import plans, policies
from ikkan.apps.meetings.values import Plan, Policy
from ikkan.ground.ids import TenantId


def plan(connection: sa.Connection, number: int) -> Plan:
    """A meeting's plan; Level 0 where nobody made one."""
    row = connection.execute(sa.select(plans).where(plans.c.number == number)).first()
    if row is None:
        return Plan()
    return Plan(row.level, row.form, row.key_id, row.subject_id, row.made_level, row.model, tuple(row.remarks))


def put_plan(connection: sa.Connection, number: int, wanted: Plan) -> None:
    """Set how a meeting is to be drawn out from now on."""
    connection.execute(plans.delete().where(plans.c.number == number))
    values = {name: getattr(wanted, name) for name in ("level", "form", "key_id", "subject_id", "made_level", "model")}
    connection.execute(plans.insert().values(number=number, remarks=list(wanted.remarks), **values))


def made(connection: sa.Connection, number: int, level: int, *, model: str, remarks: Sequence[str]) -> None:
    """Note what came of a plan."""
    values = {"made_level": level, "model": model[:200], "remarks": list(remarks)}
    if not connection.execute(plans.update().where(plans.c.number == number).values(values)).rowcount:
        connection.execute(plans.insert().values(number=number, level=0, form=Plan().form, **values))


def policy(connection: sa.Connection, tenant_id: TenantId) -> Policy:
    """What a company set; the defaults where it set nothing."""
    row = connection.execute(sa.select(policies).where(policies.c.tenant_id == tenant_id)).first()
    return Policy() if row is None else Policy(row.level, row.hook_url, row.hook_secret)


def put_policy(connection: sa.Connection, tenant_id: TenantId, at: datetime, **facts: Any) -> None:
    """Set some of it: level, hook_url, hook_secret."""
    values = {**facts, "changed_at": at}
    if not connection.execute(policies.update().where(policies.c.tenant_id == tenant_id).values(values)).rowcount:
        fresh = {"level": None, "hook_url": "", "hook_secret": None}
        connection.execute(policies.insert().values(tenant_id=tenant_id, **{**fresh, **values}))
