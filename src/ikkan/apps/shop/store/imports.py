"""Files that were brought in: how far each is, what it changed, which rows could not be taken."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any, NamedTuple

import msgspec
import sqlalchemy as sa

from ikkan.apps.shop.store.incoming import imports, mappings, marks, troubles
from ikkan.apps.shop.store.tables import insert
from ikkan.apps.shop.values.importing import Counts, Import, ImportState, Reading, SheetKind, Trouble
from ikkan.ground.ids import TenantId

MOST_TROUBLES = 100_000
"""So many wrong rows of a file are kept for its report; all are counted."""
_MANY = 500


class Mark(NamedTuple):
    """What an import did to one thing."""

    before: Any
    """What was there, as JSON; None: nothing."""
    after_sha256: str


def begin(connection: sa.Connection, tenant_id: TenantId, made: Import) -> None:
    """Keep an import that starts."""
    connection.execute(
        imports.insert().values(
            tenant_id=tenant_id,
            import_id=made.import_id,
            kind=made.kind,
            filename=made.filename[:300],
            sha256=made.sha256,
            mapping=dict(made.mapping),
            reading=asdict(made.reading),
            state=made.state,
            counts=asdict(made.counts),
            position=made.position,
            total=made.total,
            started_at=made.started_at,
            ended_at=None,
            error="",
        )
    )


def get(connection: sa.Connection, tenant_id: TenantId, import_id: str) -> Import | None:
    """One import as it stands."""
    row = connection.execute(sa.select(imports).where(*_mine(tenant_id, import_id))).one_or_none()
    return None if row is None else _import(row)


def lock(connection: sa.Connection, tenant_id: TenantId, import_id: str) -> Import | None:
    """Like `get`, and nobody else moves it until this transaction ends."""
    connection.execute(sa.select(imports.c.import_id).where(*_mine(tenant_id, import_id)).with_for_update())
    return get(connection, tenant_id, import_id)


def listed(connection: sa.Connection, tenant_id: TenantId, *, limit: int = 50) -> list[Import]:
    """The latest imports, newest first."""
    chosen = sa.select(imports).where(imports.c.tenant_id == tenant_id).order_by(imports.c.import_id.desc())
    return [_import(row) for row in connection.execute(chosen.limit(limit))]


def same(connection: sa.Connection, tenant_id: TenantId, kind: SheetKind, sha256: str) -> list[Import]:
    """Imports of exactly this file as this kind that were not taken back, newest first."""
    chosen = sa.select(imports).where(
        imports.c.tenant_id == tenant_id,
        imports.c.sha256 == sha256,
        imports.c.kind == kind,
        imports.c.state != "undone",
    )
    return [_import(row) for row in connection.execute(chosen.order_by(imports.c.import_id.desc()))]


def advance(
    connection: sa.Connection, tenant_id: TenantId, import_id: str, counts: Counts, position: int, total: int
) -> None:
    """Note how far it is; in the transaction that carried those rows out, so that none is done twice."""
    connection.execute(
        imports.update()
        .where(*_mine(tenant_id, import_id))
        .values(counts=asdict(counts), position=position, total=total)
    )


def end(
    connection: sa.Connection,
    tenant_id: TenantId,
    import_id: str,
    state: ImportState,
    at: datetime | None,
    error: str = "",
) -> None:
    """Say how it ended; `running` with no time lets it go on."""
    connection.execute(
        imports.update().where(*_mine(tenant_id, import_id)).values(state=state, ended_at=at, error=error[:2_000])
    )


# ---- rows that were not taken ----------------------------------------------------------------------------------------


def note(connection: sa.Connection, tenant_id: TenantId, import_id: str, wrong: Sequence[Trouble]) -> None:
    """Keep what is wrong with some rows."""
    if wrong:
        rows = [{"tenant_id": tenant_id, "import_id": import_id, **asdict(each)} for each in wrong]
        connection.execute(insert(connection, troubles).on_conflict_do_nothing(), rows)


def noted(
    connection: sa.Connection, tenant_id: TenantId, import_id: str, *, after: int = 0, limit: int = 1_000
) -> list[Trouble]:
    """What is wrong with the rows after `after`, in their order; whole rows only, `limit` or a few more."""
    mine = (troubles.c.tenant_id == tenant_id, troubles.c.import_id == import_id, troubles.c.row > after)
    chosen = sa.select(troubles).where(*mine).order_by(troubles.c.row, troubles.c.field).limit(limit)
    found = [_trouble(row) for row in connection.execute(chosen)]
    if len(found) == limit:
        last = sa.select(troubles).where(*mine, troubles.c.row == found[-1].row).order_by(troubles.c.field)
        found = [each for each in found if each.row != found[-1].row]
        found += [_trouble(row) for row in connection.execute(last)]
    return found


def how_many_noted(connection: sa.Connection, tenant_id: TenantId, import_id: str) -> int:
    """How many troubles are kept."""
    mine = (troubles.c.tenant_id == tenant_id, troubles.c.import_id == import_id)
    return int(connection.execute(sa.select(sa.func.count()).select_from(troubles).where(*mine)).scalar_one())


# ---- what it changed -------------------------------------------------------------------------------------------------


def mark(connection: sa.Connection, tenant_id: TenantId, import_id: str, made: Mapping[str, Mark]) -> None:
    """Remember what was there before and what is there now. What was there before the first time stays."""
    if not made:
        return
    rows = [
        {"tenant_id": tenant_id, "import_id": import_id, "key": key, **each._asdict()} for key, each in made.items()
    ]
    statement = insert(connection, marks)
    connection.execute(
        statement.on_conflict_do_update(
            index_elements=["tenant_id", "import_id", "key"],
            set_={"after_sha256": statement.excluded.after_sha256},
        ),
        rows,
    )


def marked(connection: sa.Connection, tenant_id: TenantId, import_id: str, keys: Sequence[str]) -> dict[str, Mark]:
    """What this import did to these already."""
    found: dict[str, Mark] = {}
    for at in range(0, len(keys), _MANY):
        mine = (*_marks_of(tenant_id, import_id), marks.c.key.in_(keys[at : at + _MANY]))
        found |= {
            row.key: Mark(row.before, row.after_sha256) for row in connection.execute(sa.select(marks).where(*mine))
        }
    return found


def take_marks(connection: sa.Connection, tenant_id: TenantId, import_id: str, *, limit: int) -> dict[str, Mark]:
    """Some of what this import did, and forget that it did: whoever takes it puts it right. The latest kind first."""
    chosen = sa.select(marks).where(*_marks_of(tenant_id, import_id)).order_by(marks.c.key.desc()).limit(limit)
    found = {row.key: Mark(row.before, row.after_sha256) for row in connection.execute(chosen)}
    for at in range(0, len(found), _MANY):
        keys = list(found)[at : at + _MANY]
        connection.execute(marks.delete().where(*_marks_of(tenant_id, import_id), marks.c.key.in_(keys)))
    return found


def forget(connection: sa.Connection, tenant_id: TenantId, keys: Sequence[str]) -> int:
    """Remove what imports remember of these things; returns the rows removed."""
    gone = 0
    for at in range(0, len(keys), _MANY):
        mine = (marks.c.tenant_id == tenant_id, marks.c.key.in_(keys[at : at + _MANY]))
        gone += connection.execute(marks.delete().where(*mine)).rowcount
    return gone


# ---- how this shop's files are read ----------------------------------------------------------------------------------


def mapping_of(connection: sa.Connection, tenant_id: TenantId, kind: SheetKind) -> dict[str, str]:
    """Field → column, as it was for the last file of this kind; empty before there was one."""
    chosen = sa.select(mappings.c.mapping).where(mappings.c.tenant_id == tenant_id, mappings.c.kind == kind)
    return dict(connection.execute(chosen).scalar_one_or_none() or {})


def keep_mapping(connection: sa.Connection, tenant_id: TenantId, kind: SheetKind, mapping: Mapping[str, str]) -> None:
    """Remember how a file was read, for the next of its kind."""
    statement = insert(connection, mappings).values(tenant_id=tenant_id, kind=kind, mapping=dict(mapping))
    connection.execute(
        statement.on_conflict_do_update(index_elements=["tenant_id", "kind"], set_={"mapping": dict(mapping)})
    )


# ---- private ---------------------------------------------------------------------------------------------------------


def _mine(tenant_id: TenantId, import_id: str) -> tuple[Any, Any]:
    return imports.c.tenant_id == tenant_id, imports.c.import_id == import_id


def _marks_of(tenant_id: TenantId, import_id: str) -> tuple[Any, Any]:
    return marks.c.tenant_id == tenant_id, marks.c.import_id == import_id


def _import(row: Any) -> Import:
    return Import(
        row.import_id,
        row.kind,
        row.filename,
        row.sha256,
        row.mapping,
        msgspec.convert(row.reading, type=Reading),
        row.state,
        msgspec.convert(row.counts, type=Counts),
        row.position,
        row.total,
        row.started_at,
        row.ended_at,
        row.error,
    )


def _trouble(row: Any) -> Trouble:
    return Trouble(row.row, row.field, row.value, row.code, row.wrong, row.hint)
