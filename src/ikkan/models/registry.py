"""Which artifact serves under a name: champion, challenger, shadow, previous; and how it came to that.

The flywheel promotes and rolls back here, in the transaction that also records why; whoever serves reads the champion.
Every change is kept in `models_history`; nothing is ever rewritten there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal, TypeAlias

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from ikkan.ground.clock import Clock
from ikkan.ground.db import Database, UtcDateTime
from ikkan.ground.errors import Conflict, UnknownArtifact
from ikkan.ground.ids import ArtifactId, new_id

Alias: TypeAlias = Literal["champion", "challenger", "shadow", "previous"]
Deed: TypeAlias = Literal["registered", "promoted", "rolled_back", "assigned", "cleared", "replaced", "withdrawn"]

metadata: Final = sa.MetaData()

names = sa.Table(
    "models_names",
    metadata,
    sa.Column("name", sa.String(120), primary_key=True),
    sa.Column("created_at", UtcDateTime, nullable=False),
)
"""One row a name: the row that a change of its aliases locks."""

artifacts = sa.Table(
    "models_artifacts",
    metadata,
    sa.Column("name", sa.String(120), sa.ForeignKey("models_names.name"), primary_key=True),
    sa.Column("artifact_id", sa.String(80), primary_key=True),
    sa.Column("facts", sa.JSON, nullable=False),
    sa.Column("registered_at", UtcDateTime, nullable=False),
)

aliases = sa.Table(
    "models_aliases",
    metadata,
    sa.Column("name", sa.String(120), primary_key=True),
    sa.Column("alias", sa.String(20), primary_key=True),
    sa.Column("artifact_id", sa.String(80), nullable=False),
    sa.Column("changed_at", UtcDateTime, nullable=False),
    sa.ForeignKeyConstraint(["name", "artifact_id"], ["models_artifacts.name", "models_artifacts.artifact_id"]),
)

history = sa.Table(
    "models_history",
    metadata,
    sa.Column("id", sa.String(48), primary_key=True),
    sa.Column("name", sa.String(120), nullable=False),
    sa.Column("deed", sa.String(20), nullable=False),
    sa.Column("alias", sa.String(20), nullable=False),
    sa.Column("artifact_id", sa.String(80), nullable=True),
    sa.Column("replaced_id", sa.String(80), nullable=True),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("at", UtcDateTime, nullable=False),
    sa.Index("models_history_by_name", "name", "id"),
)


@dataclass(frozen=True, slots=True)
class Registered:
    """An artifact that may serve under a name."""

    artifact_id: ArtifactId
    facts: Mapping[str, Any]
    registered_at: datetime


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that happened to a name."""

    deed: Deed
    alias: str
    """Which alias changed; empty for a registration."""
    artifact_id: ArtifactId | None
    """What it means now; None when it was cleared."""
    replaced_id: ArtifactId | None
    """What it meant before."""
    reason: str
    at: datetime


class Registry:
    """Names and what serves under them. Changes happen in the caller's transaction; reads take one of their own."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    def register(
        self, connection: sa.Connection, name: str, artifact_id: ArtifactId, facts: Mapping[str, Any] | None = None
    ) -> None:
        """Let an artifact be promoted under a name later. Doing it again changes nothing."""
        assert 0 < len(name) <= 120, "a name of up to 120 characters, such as assistant.answer"
        now = self._clock.now()
        connection.execute(_insert_new(connection, names).values(name=name, created_at=now).on_conflict_do_nothing())
        row = {"name": name, "artifact_id": artifact_id, "facts": dict(facts or {}), "registered_at": now}
        insert = _insert_new(connection, artifacts).values(row).on_conflict_do_nothing()
        # PostgreSQL's driver does not count the rows of such an insert; both say which they are.
        if connection.scalar(insert.returning(artifacts.c.artifact_id)) is not None:
            self._remember(connection, name, "registered", "", artifact_id, None, "")

    def alias(
        self, name: str, alias: Alias = "champion", *, connection: sa.Connection | None = None
    ) -> ArtifactId | None:
        """The artifact an alias means, or None. Inside a transaction hand over its connection."""
        if connection is not None:
            return _alias(connection, name, alias)
        with self._database.read() as reading:
            return _alias(reading, name, alias)

    def aliases(self, name: str, *, connection: sa.Connection | None = None) -> Mapping[str, ArtifactId]:
        """All aliases of a name."""
        if connection is not None:
            return _aliases(connection, name)
        with self._database.read() as reading:
            return _aliases(reading, name)

    def promote(self, connection: sa.Connection, name: str, artifact_id: ArtifactId, reason: str) -> None:
        """Make an artifact the champion; the champion so far becomes `previous`.

        An alias challenger or shadow of the same artifact ends with that. Promoting the champion again changes nothing.

        Raises:
            UnknownArtifact: it was not registered under this name.
        """
        self._lock(connection, name)
        self._check_registered(connection, name, artifact_id)
        before = _aliases(connection, name)
        champion = before.get("champion")
        if champion == artifact_id:
            return
        if champion is not None:
            self._point(connection, name, "previous", champion)
        self._point(connection, name, "champion", artifact_id)
        for alias in ("challenger", "shadow"):
            if before.get(alias) == artifact_id:
                self._clear(connection, name, alias)
        self._remember(connection, name, "promoted", "champion", artifact_id, champion, reason)

    def rollback(self, connection: sa.Connection, name: str, reason: str = "") -> ArtifactId:
        """Swap champion and previous; a second rollback is the way forward again.

        Returns:
            The champion from now on.

        Raises:
            Conflict: there is no previous champion.
        """
        self._lock(connection, name)
        before = _aliases(connection, name)
        champion, previous = before.get("champion"), before.get("previous")
        if champion is None or previous is None:
            raise Conflict(
                f"{name} has no previous champion to go back to", hint="it was promoted at most once", learnable=name
            )
        self._point(connection, name, "champion", previous)
        self._point(connection, name, "previous", champion)
        self._remember(connection, name, "rolled_back", "champion", previous, champion, reason)
        return previous

    def set_alias(
        self, connection: sa.Connection, name: str, alias: Alias, artifact_id: ArtifactId | None, reason: str = ""
    ) -> None:
        """Point an alias at an artifact, or at none. The champion changes by `promote` and `rollback` only.

        Raises:
            UnknownArtifact: it was not registered under this name.
        """
        assert alias in ("challenger", "shadow"), "champion and previous move by promote and rollback"
        self._lock(connection, name)
        before = _alias(connection, name, alias)
        if before == artifact_id:
            return
        if artifact_id is None:
            self._clear(connection, name, alias)
            self._remember(connection, name, "cleared", alias, None, before, reason)
        else:
            self._check_registered(connection, name, artifact_id)
            self._point(connection, name, alias, artifact_id)
            self._remember(connection, name, "assigned", alias, artifact_id, before, reason)

    def replace(
        self,
        connection: sa.Connection,
        name: str,
        old: ArtifactId,
        new: ArtifactId,
        reason: str,
        facts: Mapping[str, Any] | None = None,
    ) -> list[str]:
        """Point every alias of `old` at `new`; nobody can be promoted to `old` any more. Repeating it changes nothing.

        Where champion and previous have become one artifact, there is nobody to go back to: previous is cleared.

        Returns:
            The aliases that moved.
        """
        assert old != new, "an artifact is not replaced by itself"
        self.register(connection, name, new, facts)
        self._lock(connection, name)
        moved = sorted(alias for alias, artifact_id in _aliases(connection, name).items() if artifact_id == old)
        for alias in moved:
            self._point(connection, name, alias, new)
            self._remember(connection, name, "replaced", alias, new, old, reason)
        now = _aliases(connection, name)
        if "previous" in now and now["previous"] == now.get("champion"):
            self._clear(connection, name, "previous")
            self._remember(connection, name, "cleared", "previous", None, new, reason)
        self.withdraw(connection, name, old, reason)
        return moved

    def withdraw(self, connection: sa.Connection, name: str, artifact_id: ArtifactId, reason: str) -> list[str]:
        """Take an artifact off a name, with every alias it has there. Absent is fine.

        Returns:
            The aliases that mean nothing now.
        """
        here = sa.and_(artifacts.c.name == name, artifacts.c.artifact_id == artifact_id)
        if connection.scalar(sa.select(artifacts.c.name).where(here)) is None:
            return []
        self._lock(connection, name)
        cleared = sorted(alias for alias, named in _aliases(connection, name).items() if named == artifact_id)
        for alias in cleared:
            self._clear(connection, name, alias)
            self._remember(connection, name, "cleared", alias, None, artifact_id, reason)
        connection.execute(sa.delete(artifacts).where(here))
        self._remember(connection, name, "withdrawn", "", artifact_id, None, reason)
        return cleared

    def under(self, connection: sa.Connection, artifact_id: ArtifactId) -> dict[str, list[str]]:
        """Every name an artifact is registered under, each with the aliases it has there."""
        registered = connection.scalars(sa.select(artifacts.c.name).where(artifacts.c.artifact_id == artifact_id))
        found: dict[str, list[str]] = {name: [] for name in sorted(registered)}
        query = sa.select(aliases.c.name, aliases.c.alias).where(aliases.c.artifact_id == artifact_id)
        for row in connection.execute(query.order_by(aliases.c.name, aliases.c.alias)):
            found[row.name].append(row.alias)
        return found

    def registered(self, name: str) -> list[Registered]:
        """All artifacts of a name, oldest first."""
        query = sa.select(artifacts).where(artifacts.c.name == name).order_by(
            artifacts.c.registered_at, artifacts.c.artifact_id
        )  # fmt: skip
        with self._database.read() as reading:
            return [
                Registered(ArtifactId(row.artifact_id), row.facts, row.registered_at) for row in reading.execute(query)
            ]

    def history(self, name: str, *, limit: int = 200) -> list[Change]:
        """What happened to a name, newest first."""
        query = sa.select(history).where(history.c.name == name).order_by(history.c.id.desc()).limit(limit)
        with self._database.read() as reading:
            return [
                Change(row.deed, row.alias, row.artifact_id, row.replaced_id, row.reason, row.at)
                for row in reading.execute(query)
            ]

    def names(self) -> list[str]:
        """Every name that has an artifact."""
        with self._database.read() as reading:
            return list(reading.scalars(sa.select(names.c.name).order_by(names.c.name)))

    def _lock(self, connection: sa.Connection, name: str) -> None:
        # SQLite's transaction already holds the one write lock; PostgreSQL locks this name until the commit.
        found = connection.scalar(sa.select(names.c.name).where(names.c.name == name).with_for_update())
        if found is None:
            raise UnknownArtifact(f"nothing is registered under {name!r} yet", hint="train it first", learnable=name)

    def _check_registered(self, connection: sa.Connection, name: str, artifact_id: ArtifactId) -> None:
        query = sa.select(artifacts.c.name).where(artifacts.c.name == name, artifacts.c.artifact_id == artifact_id)
        if connection.scalar(query) is None:
            raise UnknownArtifact(f"{artifact_id} is not registered under {name!r}", artifact=artifact_id)

    def _point(self, connection: sa.Connection, name: str, alias: str, artifact_id: ArtifactId) -> None:
        row = {"artifact_id": artifact_id, "changed_at": self._clock.now()}
        insert = _insert_new(connection, aliases).values(name=name, alias=alias, **row)
        connection.execute(insert.on_conflict_do_update(index_elements=["name", "alias"], set_=row))

    def _clear(self, connection: sa.Connection, name: str, alias: str) -> None:
        connection.execute(sa.delete(aliases).where(aliases.c.name == name, aliases.c.alias == alias))

    def _remember(
        self, connection: sa.Connection, name: str, deed: Deed, alias: str, artifact_id: ArtifactId | None,
        replaced_id: ArtifactId | None, reason: str,
    ) -> None:  # fmt: skip
        connection.execute(
            sa.insert(history).values(
                id=new_id(), name=name, deed=deed, alias=alias, artifact_id=artifact_id, replaced_id=replaced_id,
                reason=reason, at=self._clock.now(),
            )
        )  # fmt: skip


def _insert_new(connection: sa.Connection, table: sa.Table) -> Any:
    """Both dialects can insert unless it is there; SQLAlchemy has no common word for it."""
    return postgresql.insert(table) if connection.dialect.name == "postgresql" else sqlite.insert(table)


def _alias(connection: sa.Connection, name: str, alias: str) -> ArtifactId | None:
    query = sa.select(aliases.c.artifact_id).where(aliases.c.name == name, aliases.c.alias == alias)
    found = connection.scalar(query)
    return None if found is None else ArtifactId(found)


def _aliases(connection: sa.Connection, name: str) -> dict[str, ArtifactId]:
    query = sa.select(aliases.c.alias, aliases.c.artifact_id).where(aliases.c.name == name)
    return {row.alias: ArtifactId(row.artifact_id) for row in connection.execute(query)}
