"""Tenants: organisations that share nothing but the machine."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from ikkan.cloud.ledger import open_budget, tenant_owner
from ikkan.cloud.tables import budgets, tenants
from ikkan.ground.errors import BadInput, Conflict, NotFound
from ikkan.ground.ids import TenantId


@dataclass(frozen=True, slots=True)
class Tenant:
    """An organisation, and its budget."""

    id: TenantId
    name: str
    created_at: datetime
    limit_micros: int | None
    """The most it may spend in all; None for no limit."""
    spent_micros: int
    held_micros: int
    """Reserved for requests that are being answered now."""
    currency: str


def create_tenant(
    connection: sa.Connection, tenant_id: str, name: str, at: datetime, *, limit_micros: int | None = None
) -> TenantId:
    """Make a tenant.

    Raises:
        BadInput: the id is not lower-case letters, digits and dashes.
        Conflict: there is one with this id.
    """
    if not re.fullmatch(r"[a-z0-9][a-z0-9-]{0,62}", tenant_id):
        raise BadInput(f"{tenant_id!r} cannot be a tenant's id", hint="lower-case letters, digits and dashes")
    if not ensure_tenant(connection, TenantId(tenant_id), name, at, limit_micros=limit_micros):
        raise Conflict(f"there is a tenant {tenant_id!r} already", hint="choose another id", tenant=tenant_id)
    return TenantId(tenant_id)


def ensure_tenant(
    connection: sa.Connection, tenant_id: TenantId, name: str, at: datetime, *, limit_micros: int | None = None
) -> bool:
    """Make a tenant unless it is there; returns whether it was made."""
    known = sa.select(tenants.c.id).where(tenants.c.id == tenant_id)
    if connection.execute(known).first() is not None:
        return False
    try:
        with connection.begin_nested():
            connection.execute(tenants.insert(), {"id": tenant_id, "name": name[:200], "created_at": at})
            open_budget(connection, tenant_owner(tenant_id), limit_micros=limit_micros)
    except sa.exc.IntegrityError:
        return False  # another process made it this moment
    return True


def list_tenants(connection: sa.Connection) -> Sequence[Tenant]:
    """Every tenant, by id."""
    joined = tenants.join(budgets, budgets.c.owner == sa.literal("tenant:") + tenants.c.id)
    statement = sa.select(
        tenants, budgets.c.limit_micros, budgets.c.spent_micros, budgets.c.held_micros, budgets.c.currency
    ).select_from(joined)
    return [Tenant(**row) for row in connection.execute(statement.order_by(tenants.c.id)).mappings()]


def set_limit(connection: sa.Connection, owner: str, limit_micros: int | None) -> None:
    """Change how much a key or tenant may spend in all; None lifts the limit.

    Raises:
        NotFound: no such owner.
        BadInput: a negative limit.
    """
    if limit_micros is not None and limit_micros < 0:
        raise BadInput("a budget cannot be negative", hint="0 stops all spending")
    statement = budgets.update().where(budgets.c.owner == owner).values(limit_micros=limit_micros)
    if connection.execute(statement).rowcount != 1:
        raise NotFound(f"nobody has the budget {owner!r}", hint="ikkan key list", owner=owner)
