"""One number that every change of configuration counts up, so that other processes notice within a second."""

from __future__ import annotations

import sqlalchemy as sa

from ikkan.cloud.tables import versions

_NAME = "cloud"


def bump(connection: sa.Connection) -> None:
    """Tell every process that keys, upstreams, aliases or prices have changed, when this transaction commits."""
    changed = connection.execute(
        versions.update().where(versions.c.name == _NAME).values(version=versions.c.version + 1)
    )
    if changed.rowcount:
        return
    try:
        with connection.begin_nested():
            connection.execute(versions.insert(), {"name": _NAME, "version": 1})
    except sa.exc.IntegrityError:
        bump(connection)  # another process made the row this moment


def current(connection: sa.Connection) -> int:
    """The number now; 0 before the first change."""
    found = connection.execute(sa.select(versions.c.version).where(versions.c.name == _NAME)).scalar_one_or_none()
    return int(found or 0)
