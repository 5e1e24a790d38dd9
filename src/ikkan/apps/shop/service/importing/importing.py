"""Files of merchants: looked at, tried without doing anything, brought in by a durable job, taken back.

`preview` guesses and counts; `begin` keeps the file and its reading; `run` is the job's one step: it goes on from the
row where it was interrupted, because each portion of rows and the place reached are one transaction. Rows that cannot
be taken are reported one by one; the rest is in.
"""

from __future__ import annotations

import hashlib
import logging
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any, cast

from ikkan.apps.shop import store
from ikkan.apps.shop.rules.importing import guess as guessing
from ikkan.apps.shop.rules.importing import times
from ikkan.apps.shop.rules.importing.fields import FIELDS
from ikkan.apps.shop.rules.importing.rows import RowReader
from ikkan.apps.shop.service.carrier import Carrier
from ikkan.apps.shop.service.importing.landing import Carriers, Events, Landing, People, Wares
from ikkan.apps.shop.service.importing.orders import Orders
from ikkan.apps.shop.service.importing.sheets import Sheet, open_sheet
from ikkan.apps.shop.service.listening import Listens
from ikkan.apps.shop.values.importing import (
    SHEET_KINDS,
    Counts,
    Guess,
    Import,
    Preview,
    Reading,
    SheetKind,
    Trouble,
    Undone,
)
from ikkan.ground.clock import Clock
from ikkan.ground.db import Database
from ikkan.ground.errors import BadFile, BadInput, Conflict, IkkanError, NotFound
from ikkan.ground.ids import SubjectId, TenantId, new_id

log = logging.getLogger(__name__)

_PORTION = 500
"""Rows read at a time, and at most in one transaction."""
_FIRST_PORTION, _LEAST_PORTION = 100, 100
_HELD_S = 0.03
"""So long a transaction should last, for others wait: portions follow what rows of this file turn out to cost."""
_LOOKED_AT = 200
_SHOWN_TROUBLES = 20
_TAKEN_BACK: Mapping[SheetKind, int] = {"events": 2}
"""Things taken back in one transaction where not 200: a mark of events stands for a portion of them."""
Progress = Callable[[float, str], None]


class Importing:
    """Imports of every shop in this house.

    Args:
        folder: where a file lies between `begin` and the end of its import.
        pseudonym: of a shop's customer, as the house makes it.
        embed: texts to unit vectors, for headers no table knows; None does without.
    """

    def __init__(
        self,
        database: Database,
        clock: Clock,
        listens: Listens,
        carrier: Carrier,
        folder: Path,
        pseudonym: Callable[[TenantId, str], SubjectId],
        *,
        embed: guessing.Embed | None = None,
    ) -> None:
        self.database = database
        self.clock = clock
        self.folder = folder
        self._listens = listens
        self._carrier = carrier
        self._pseudonym = pseudonym
        self._embed = embed

    # ---- looking -----------------------------------------------------------------------------------------------------

    def guess(
        self,
        tenant_id: TenantId,
        path: Path,
        kind: SheetKind | None = None,
        *,
        said: Mapping[str, str] = {},
        reading: Reading = Reading(),
    ) -> Preview:
        """What the file seems to be and which column seems to be what. Reads its first rows only.

        Raises:
            BadFile: it holds no table.
            BadInput: `said` names a field or column that is not there, or nothing says what kind of file it is.
        """
        sheet = open_sheet(path, encoding=reading.encoding)
        rows = sheet.head(_LOOKED_AT)
        kind = kind or guessing.kind_of(sheet.headers, rows)
        if kind is None:
            raise BadInput(
                "this file could be of several kinds", hint=f"say which: {', '.join(SHEET_KINDS)}", param="kind"
            )
        guesses = self._guesses(tenant_id, kind, sheet, rows, said)
        chosen = guessing.mapping(guesses)
        unused = tuple(each for each in sheet.headers if each not in chosen.values())
        return Preview(kind, guesses, unused, guessing.missing(kind, chosen), encoding=sheet.encoding)

    def preview(
        self,
        tenant_id: TenantId,
        path: Path,
        kind: SheetKind | None = None,
        *,
        said: Mapping[str, str] = {},
        reading: Reading = Reading(),
        tell: Progress = lambda done, told: None,
    ) -> Preview:
        """A dry run: every row is read and compared with what is there; nothing is written.

        Raises:
            BadFile, BadInput: as `guess`.
        """
        seen = self.guess(tenant_id, path, kind, said=said, reading=reading)
        if seen.missing:
            return seen
        mapping = guessing.mapping(seen.guesses)
        sheet = open_sheet(path, encoding=reading.encoding)
        landing = self._landing(tenant_id, "", seen.kind, mapping)
        counts, troubles = Counts(), list[Trouble]()
        for portion in _portions(self._read(sheet, seen.kind, mapping, reading)):
            wrong, rows = _sorted_out(portion)
            with self.database.read() as connection:
                landed = landing.would(connection, rows)
            wrong += landed.wrong
            counts = counts.plus(landed.counts).plus(_refused(wrong, landed.wrong))
            troubles += wrong[: max(0, _SHOWN_TROUBLES - len(troubles))]
            tell(min(1.0, counts.rows / max(1, sheet.total)), f"{counts.rows:,}")
        return replace(seen, counts=counts, troubles=tuple(troubles))

    # ---- bringing in -------------------------------------------------------------------------------------------------

    def begin(
        self,
        tenant_id: TenantId,
        path: Path,
        kind: SheetKind | None = None,
        *,
        filename: str = "",
        said: Mapping[str, str] = {},
        reading: Reading = Reading(),
        is_moved: bool = False,
    ) -> Import:
        """Keep a file and how it is read, for `run`. The same file read in the same way is not brought in twice.

        Args:
            is_moved: the file may be moved away from `path` instead of copied.

        Raises:
            BadFile, BadInput: as `guess`; also where a field that is needed has no column.
        """
        seen = self.guess(tenant_id, path, kind, said=said, reading=reading)
        if seen.missing:
            raise BadInput(
                f"no column was found for {', '.join(seen.missing)}",
                hint=f"say which it is: --map {seen.missing[0]}=COLUMN, of {', '.join(seen.unused) or 'none'}",
                missing=list(seen.missing),
                columns=list(seen.unused),
            )
        mapping, sha256 = guessing.mapping(seen.guesses), _sha256(path)
        total = open_sheet(path, encoding=reading.encoding).total
        now = self.clock.now()
        name = (filename or path.name)[-300:]
        made = Import(new_id("import"), seen.kind, name, sha256, mapping, reading, "running", Counts(), 0, total, now)
        self.folder.mkdir(parents=True, exist_ok=True)
        with self.database.transaction() as connection:
            for before in store.imports.same(connection, tenant_id, seen.kind, sha256):
                if (before.mapping, before.reading) == (mapping, reading) and before.state in ("running", "done"):
                    return replace(before, is_repeat=True)
            # The file is there before the row that says so: what a crash leaves is a file without a row.
            kept = self.folder / made.import_id
            shutil.move(path, kept) if is_moved else shutil.copyfile(path, kept)
            store.imports.begin(connection, tenant_id, made)
            store.imports.keep_mapping(connection, tenant_id, seen.kind, mapping)
        return made

    def run(self, tenant_id: TenantId, import_id: str, tell: Progress = lambda done, told: None) -> Import:
        """Bring the file in, from where it stands. Safe to call again after it was interrupted, and when it is done.

        Raises:
            NotFound: there is no such import.
            BadFile: the file breaks off; what came before is in, and the import says so.
        """
        made = self.get(tenant_id, import_id)
        if made.state == "undone" or made.state == "done":
            return made
        path = self.folder / import_id
        try:
            self._bring(tenant_id, made, path, tell)
        except IkkanError as error:
            with self.database.transaction() as connection:
                store.imports.end(connection, tenant_id, import_id, "failed", self.clock.now(), str(error.message))
            raise
        with self.database.transaction() as connection:
            store.imports.end(connection, tenant_id, import_id, "done", self.clock.now())
        path.unlink(missing_ok=True)
        tell(1.0, "")
        return self.get(tenant_id, import_id)

    def get(self, tenant_id: TenantId, import_id: str) -> Import:
        """One import as it stands.

        Raises:
            NotFound: this shop has no such import.
        """
        with self.database.read() as connection:
            return _there(store.imports.get(connection, tenant_id, import_id))

    def imports(self, tenant_id: TenantId) -> list[Import]:
        """The latest imports, newest first."""
        with self.database.read() as connection:
            return store.imports.listed(connection, tenant_id)

    def troubles(self, tenant_id: TenantId, import_id: str) -> Iterator[Trouble]:
        """Every row that was not taken and why, in their order; at most the first 100,000 are kept."""
        self.get(tenant_id, import_id)
        after = 0
        while True:
            with self.database.read() as connection:
                found = store.imports.noted(connection, tenant_id, import_id, after=after)
            yield from found
            if not found:
                return
            after = found[-1].row

    # ---- taking back -------------------------------------------------------------------------------------------------

    def undo(self, tenant_id: TenantId, import_id: str) -> Undone:
        """Take back what an import did: what it added goes, what it changed is as before, what changed since stays.

        Wares that go are off the shelf and known to orders still. Events leave every list and history, not the log
        that models learned from. Carriers' news is not taken back: it was acted upon. Safe to repeat.

        Raises:
            NotFound: this shop has no such import.
            Conflict: it still runs, or is of a kind that cannot be taken back.
        """
        made = self.get(tenant_id, import_id)
        if made.kind == "carrier":
            raise Conflict("carriers' news cannot be taken back: it was acted upon", hint="bring in what is true now")
        if made.state == "running":
            raise Conflict("this import still runs", hint="wait for its end, or cancel its job first")
        landing = self._landing(tenant_id, import_id, made.kind, made.mapping)
        done = Undone(0, 0, 0)
        while True:
            with self.database.transaction() as connection:
                taken = store.imports.take_marks(
                    connection, tenant_id, import_id, limit=_TAKEN_BACK.get(made.kind, 200)
                )
                if not taken:
                    store.imports.end(connection, tenant_id, import_id, "undone", self.clock.now())
                    return done
                removed, restored, kept = landing.back(connection, taken)
            done = Undone(done.removed + removed, done.restored + restored, done.kept + kept)

    # ---- private -----------------------------------------------------------------------------------------------------

    def _bring(self, tenant_id: TenantId, made: Import, path: Path, tell: Progress) -> None:
        if not path.is_file():
            raise BadFile("the file of this import is not here any more", hint="bring it in again")
        sheet = open_sheet(path, encoding=made.reading.encoding)
        landing = self._landing(tenant_id, made.import_id, made.kind, made.mapping)
        # A job that began before noon reads its rows by the same clock after it was interrupted.
        rows = self._read(sheet, made.kind, made.mapping, made.reading, now=made.started_at)
        position, kept, size = made.position, None, _FIRST_PORTION
        rows = islice(rows, position, None)
        while portion := list(islice(rows, size)):
            wrong, good = _sorted_out(portion)
            with self.database.transaction() as connection:
                began_s = time.perf_counter()
                now = _there(store.imports.lock(connection, tenant_id, made.import_id))
                if now.position != position or now.state != "running":
                    raise Conflict("this import is being brought in elsewhere", hint="wait for its end")
                landed = landing.put(connection, good)
                wrong += landed.wrong
                if kept is None:
                    kept = store.imports.how_many_noted(connection, tenant_id, made.import_id)
                room = max(0, store.imports.MOST_TROUBLES - kept)
                store.imports.note(connection, tenant_id, made.import_id, wrong[:room])
                kept += len(wrong[:room])
                position += len(portion)
                counts = now.counts.plus(landed.counts).plus(_refused(wrong, landed.wrong))
                store.imports.advance(
                    connection, tenant_id, made.import_id, counts, position, max(position, sheet.total)
                )
            cost_s = (time.perf_counter() - began_s) / len(portion)
            size = max(_LEAST_PORTION, min(_PORTION, round((size + _HELD_S / max(cost_s, 1e-9)) / 2)))
            tell(min(0.999, position / max(1, sheet.total)), f"{counts.rows:,} rows, {counts.refused:,} refused")
        with self.database.transaction() as connection:
            now = _there(store.imports.get(connection, tenant_id, made.import_id))
            store.imports.advance(connection, tenant_id, made.import_id, now.counts, position, position)

    def _guesses(
        self,
        tenant_id: TenantId,
        kind: SheetKind,
        sheet: Sheet,
        rows: Sequence[Sequence[str]],
        said: Mapping[str, str],
    ) -> tuple[Guess, ...]:
        for name, column in said.items():
            if not guessing.is_field(kind, name):
                known = ", ".join(each.name for each in FIELDS[kind])
                raise BadInput(f"a file of {kind} tells no {name!r}", hint=f"one of {known}", param="map")
            if column and column not in sheet.headers:
                raise BadInput(f"there is no column {column!r}", hint=f"one of {', '.join(sheet.headers)}", param="map")
        with self.database.read() as connection:
            saved = store.imports.mapping_of(connection, tenant_id, kind)
        embed = self._embed
        try:
            return guessing.guess(kind, sheet.headers, rows, said=said, saved=saved, embed=embed)
        except IkkanError:
            # The embedder is busy or was not pulled; names and values do without it.
            log.info("columns were guessed without an embedder", extra={"columns": len(sheet.headers)})
            return guessing.guess(kind, sheet.headers, rows, said=said, saved=saved)

    def _read(
        self,
        sheet: Sheet,
        kind: SheetKind,
        mapping: Mapping[str, str],
        reading: Reading,
        *,
        now: datetime | None = None,
    ) -> Iterator[tuple[int, Any]]:
        first = sheet.head(_LOOKED_AT)
        dated = {each.name for each in FIELDS[kind] if each.reads in ("when", "day") and each.name in mapping}
        places = {name: sheet.headers.index(mapping[name]) for name in dated}
        day_first = frozenset(
            name for name, at in places.items() if times.says_day_first([row[at] for row in first if at < len(row)])
        )
        try:
            reader = RowReader(kind, sheet.headers, mapping, reading, now or self.clock.now(), day_first=day_first)
        except times.NoTime as exc:
            hint = "like +09:00"
            raise BadInput(f"{reading.utc_offset!r} is no offset from UTC", hint=hint, param="utc_offset") from exc
        return ((row, reader.read(row, cells) if isinstance(cells, list) else [cells]) for row, cells in sheet.rows())

    def _landing(self, tenant_id: TenantId, import_id: str, kind: SheetKind, mapping: Mapping[str, str]) -> Landing:
        def pseudonym(customer: str) -> SubjectId:
            return self._pseudonym(tenant_id, customer)

        made: dict[SheetKind, Callable[[], Any]] = {
            "catalogue": lambda: Wares(tenant_id, import_id, list(mapping)),
            "events": lambda: Events(tenant_id, import_id, self._listens),
            "carrier": lambda: Carriers(tenant_id, self._carrier),
            "customers": lambda: People(tenant_id, import_id, pseudonym),
            "orders": lambda: Orders(tenant_id, import_id, pseudonym, self._listens, self._carrier),
        }
        return cast(Landing, made[kind]())


def _portions(rows: Iterator[tuple[int, Any]]) -> Iterator[list[tuple[int, Any]]]:
    while portion := list(islice(rows, _PORTION)):
        yield portion


def _sorted_out(portion: Sequence[tuple[int, Any]]) -> tuple[list[Trouble], list[tuple[int, Any]]]:
    wrong = [each for _, read in portion if isinstance(read, list) for each in read]
    return wrong, [(row, read) for row, read in portion if not isinstance(read, list)]


def _refused(wrong: Sequence[Trouble], counted: Sequence[Trouble]) -> Counts:
    rows = len({each.row for each in wrong} - {each.row for each in counted})
    return Counts(rows=rows, refused=rows)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _there(found: Import | None) -> Import:
    if found is None:
        raise NotFound("there is no such import", hint="GET /a/shop/v1/imports")
    return found
