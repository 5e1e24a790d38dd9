"""Bring files of a merchant into this home: guessed, tried, done, reported, taken back."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import msgspec
import typer
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

from ikkan import bootstrap
from ikkan.cli.output import AsJson, show, stderr_console, table
from ikkan.cloud.values import LOCAL_TENANT
from ikkan.ground.errors import BadInput, Internal

if TYPE_CHECKING:
    from ikkan.apps.shop.service.importing import Importing
    from ikkan.apps.shop.values.importing import Import, Preview, Reading, SheetKind, Trouble
    from ikkan.bootstrap.platform import Platform

_SHOWN = 10


def bring(
    file: Annotated[Path | None, typer.Argument(help="A table: CSV in any usual encoding, or Parquet.")] = None,
    kind: Annotated[str, typer.Option(help="catalogue, orders, events, carrier or customers; else seen from it.")] = "",
    said: Annotated[list[str] | None, typer.Option("--map", help="field=column, where the guess is wrong.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would happen; change nothing.")] = False,
    errors: Annotated[Path | None, typer.Option(help="Write rows that were not taken here: .csv or .json.")] = None,
    currency: Annotated[str, typer.Option(help="Of amounts that do not say theirs.")] = "JPY",
    utc_offset: Annotated[str, typer.Option(help="Of times that do not say theirs.")] = "+09:00",
    encoding: Annotated[str, typer.Option(help="Of a CSV file, where it is guessed wrong.")] = "",
    deed: Annotated[str, typer.Option(help="What people did, where events do not say.")] = "bought",
    undo: Annotated[str, typer.Option(help="Take the import of this id back.")] = "",
    complete_journey: Annotated[
        Path | None, typer.Option(help="The folder of the Complete Journey data (.rda, CC0).")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Bring a merchant's file in; rows that cannot be taken are reported one by one, the others are in.

    Exit status 1 when rows were refused.
    """
    if sum(each not in (None, "") for each in (file, undo, complete_journey)) != 1:
        raise BadInput("one thing at a time", hint="FILE, --undo IMPORT, or --complete-journey FOLDER")
    with bootstrap.opened(bootstrap.settings()) as platform:
        importing = _importing(platform)
        if undo:
            done = importing.undo(LOCAL_TENANT, undo)
            show(done, as_json=as_json, text=lambda: f"{done.removed:,} removed, {done.restored:,} as before, "
                                                     f"{done.kept:,} changed since and left")  # fmt: skip
            return
        if complete_journey is not None:
            made = _journey(platform, importing, complete_journey)
            show(made, as_json=as_json, text=lambda: "\n".join(_told(each) for each in made))
            return
        assert file is not None
        reading, wanted = _reading(currency, utc_offset, encoding, deed), _kind(kind)
        mapped = dict(_pair(each) for each in said or ())
        if dry_run:
            with _bar() as tell:
                seen = importing.preview(LOCAL_TENANT, file, wanted, said=mapped, reading=reading, tell=tell)
            show(seen, as_json=as_json, text=lambda: _previewed(seen))
            raise typer.Exit(1 if seen.missing or (seen.counts and seen.counts.refused) else 0)
        found = _brought(platform, importing, importing.begin(LOCAL_TENANT, file, wanted, said=mapped, reading=reading))
        if errors is not None:
            _write_errors(importing.troubles(LOCAL_TENANT, found.import_id), errors)
        show(found, as_json=as_json, text=lambda: _told(found, errors))
        raise typer.Exit(1 if found.counts.refused else 0)


# ---- private ---------------------------------------------------------------------------------------------------------


def _importing(platform: Platform) -> Importing:
    from ikkan.apps.shop.service.carrier import Carrier
    from ikkan.apps.shop.service.importing import Importing
    from ikkan.apps.shop.service.suggesting import Suggesting
    from ikkan.bootstrap.embedding import home_embedder

    pseudonym = platform.cloud.subjects.pseudonym
    return Importing(
        platform.database,
        platform.clock,
        Suggesting(platform.database, platform.clock, events=platform.events, pseudonym=pseudonym),
        Carrier(platform.database, platform.clock, events=platform.events),
        platform.settings.home / "cache" / "shop" / "imports",
        pseudonym,
        embed=home_embedder(platform.store, platform.settings.run_dir / "device.lease"),
    )


def _brought(platform: Platform, importing: Importing, made: Import) -> Import:
    from ikkan.apps.shop.service.importing import JOB
    from ikkan.bootstrap.erasing import wait

    if made.state == "running":
        job_id = platform.jobs.start_once(JOB, made.import_id, tenant_id=str(LOCAL_TENANT), import_id=made.import_id)
        with _bar() as tell:
            status = wait(platform.jobs, job_id, tell)
        if status.error is not None:
            raise status.error
        if status.state != "done":
            raise Internal("the import was stopped", hint="say it again; it goes on where it was")
    return importing.get(LOCAL_TENANT, made.import_id)


def _journey(platform: Platform, importing: Importing, folder: Path) -> list[Import]:
    from ikkan.apps.shop.service.importing.complete_journey import READING, as_tables

    into = platform.settings.home / "cache" / "shop" / "complete-journey"
    tables = as_tables(folder, into)
    made: list[Import] = []
    for path, kind in ((tables.catalogue, "catalogue"), (tables.events, "events")):
        begun = importing.begin(
            LOCAL_TENANT, path, cast("SheetKind", kind), filename=f"complete-journey-{path.name}", reading=READING,
            is_moved=True,
        )  # fmt: skip
        made.append(_brought(platform, importing, begun))
    return made


def _reading(currency: str, utc_offset: str, encoding: str, deed: str) -> Reading:
    from ikkan.apps.shop.values import DEEDS
    from ikkan.apps.shop.values.importing import Reading

    said = {"currency": currency.upper(), "utc_offset": utc_offset, "encoding": encoding, "deed": deed}
    try:
        return msgspec.convert(said, type=Reading)
    except msgspec.ValidationError as exc:
        raise BadInput(f"{deed!r} is nothing people do", hint=f"one of {', '.join(DEEDS)}", param="deed") from exc


def _kind(text: str) -> SheetKind | None:
    from ikkan.apps.shop.values.importing import SHEET_KINDS

    if text and text not in SHEET_KINDS:
        raise BadInput(f"{text!r} is no kind of file", hint=f"one of {', '.join(SHEET_KINDS)}", param="kind")
    return cast("SheetKind", text) or None


def _pair(text: str) -> tuple[str, str]:
    name, mark, column = text.partition("=")
    if not mark or not name.strip():
        raise BadInput(f"{text!r} maps nothing", hint="--map price=売価; --map stock= for a field the file has not")
    return name.strip(), column.strip()


@contextmanager
def _bar() -> Iterator[Callable[[float, str], None]]:
    console = stderr_console()
    columns = (BarColumn(), TaskProgressColumn(), TextColumn("{task.description}"))
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("", total=1.0)
        yield lambda done, told: bar.update(task, completed=done, description=told)


def _write_errors(found: Iterator[Trouble], path: Path) -> None:
    from ikkan.apps.shop.rules.importing.reporting import error_rows

    if path.suffix.lower() == ".json":
        path.write_text(json.dumps([asdict(each) for each in found], ensure_ascii=False, indent=1), encoding="utf-8")
        return
    with path.open("w", encoding="utf-8", newline="") as file:
        file.writelines(error_rows(found))


def _previewed(seen: Preview) -> str:
    rows = [(each.field, each.column, f"{each.confidence:.0%}", each.why, " | ".join(each.samples)[:60])
            for each in seen.guesses]  # fmt: skip
    lines = [f"{seen.kind}{f', {seen.encoding}' if seen.encoding else ''}",
             table(["field", "column", "sure", "by", "samples"], rows)]  # fmt: skip
    if seen.unused:
        lines.append(f"not used: {', '.join(seen.unused)}")
    if seen.missing:
        lines.append(f"missing: {', '.join(seen.missing)}; say --map {seen.missing[0]}=COLUMN")
    if seen.counts is not None:
        counts = seen.counts
        lines.append(
            f"{counts.rows:,} rows: {counts.added:,} would be added, {counts.changed:,} changed, {counts.same:,} are "
            f"there, {counts.repeated:,} repeated, {counts.refused:,} refused"
        )
    lines += [_wrong(each) for each in seen.troubles[:_SHOWN]]
    return "\n".join(lines)


def _told(made: Import, errors: Path | None = None) -> str:
    counts = made.counts
    lines = [
        f"{made.filename}: {counts.rows:,} rows: {counts.added:,} added, {counts.changed:,} changed, "
        f"{counts.same:,} there, {counts.repeated:,} repeated, {counts.refused:,} refused",
        f"take it back: ikkan shop import --undo {made.import_id}",
    ]
    if counts.refused:
        lines.append(f"what is wrong with them: {errors}" if errors else "say it again with --errors FILE to see why")
    return "\n".join(lines)


def _wrong(each: Trouble) -> str:
    return f"  row {each.row:,}{f', {each.field}' if each.field else ''}: {each.wrong}; {each.hint}"
