"""Alembic's door. `ikkan.ground.db.upgrade` hands over an open connection, and its transaction is the migration's."""

from __future__ import annotations

from alembic import context


def migrate() -> None:
    """Run the steps Alembic planned, inside the caller's transaction: all of them happen, or none."""
    context.configure(connection=context.config.attributes["connection"])
    with context.begin_transaction():
        context.run_migrations()


# Alembic executes this file under this name; a doctest run that merely imports it must not migrate anything.
if __name__ == "env_py":
    migrate()
