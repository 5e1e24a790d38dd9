"""Messages to other systems, by ids: written in the transaction of what they tell of."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from ikkan.apps.meetings.store.tables import deliveries
from ikkan.apps.meetings.values import Delivery, DeliveryState
from ikkan.ground.errors import NotFound
from ikkan.ground.ids import TenantId


def add(connection: sa.Connection, delivery: Delivery) -> None:
    """Keep a message that is to be sent."""
    connection.execute(deliveries.insert().values({name: getattr(delivery, name) for name in Delivery.__slots__}))


def get(connection: sa.Connection, delivery_id: str) -> Delivery | None:
    """A message, whosever it is: for the job that sends it."""
    row = connection.execute(sa.select(deliveries).where(deliveries.c.id == delivery_id)).first()
    return None if row is None else _delivery(row)


def of_tenant(connection: sa.Connection, tenant_id: TenantId, delivery_id: str) -> Delivery:
    """A message of this tenant.

    Raises:
        NotFound: it has none of this id.
    """
    found = get(connection, delivery_id)
    if found is None or found.tenant_id != tenant_id:
        raise NotFound("there is no such message", hint="reload the page", param="delivery_id")
    return found


def change(connection: sa.Connection, delivery_id: str, **facts: Any) -> None:
    """Note how far a message is."""
    connection.execute(deliveries.update().where(deliveries.c.id == delivery_id).values(**facts))


def latest(connection: sa.Connection, tenant_id: TenantId, *, limit: int = 50) -> list[Delivery]:
    """The log, the newest first."""
    columns = deliveries.c
    statement = sa.select(deliveries).where(columns.tenant_id == tenant_id)
    ordered = statement.order_by(columns.created_at.desc(), columns.id.desc()).limit(limit)
    return [_delivery(row) for row in connection.execute(ordered)]


def untried(connection: sa.Connection, *, limit: int = 200) -> list[str]:
    """Messages that were written and never tried, the oldest first."""
    columns = deliveries.c
    statement = sa.select(columns.id).where(columns.state == DeliveryState.WAITING, columns.tries == 0)
    return list(connection.scalars(statement.order_by(columns.created_at).limit(limit)))


def _delivery(row: Any) -> Delivery:
    return Delivery(
        row.id,
        row.tenant_id,
        row.number,
        row.item_id,
        row.event,
        DeliveryState(row.state),
        row.tries,
        row.told,
        row.created_at,
        row.changed_at,
    )
