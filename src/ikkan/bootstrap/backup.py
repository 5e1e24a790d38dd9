"""What a backup of this house holds, and what must be true of a restored one before it may serve.

`ground.backup` writes and reads the file; here it is told which databases and folders a home has, what they add up
to, and how an erased person is forgotten again.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa

from ikkan import __version__
from ikkan.bootstrap import model_store
from ikkan.bootstrap.platform import build, forget_again
from ikkan.cloud import ledger
from ikkan.ground import backup, eventlog
from ikkan.ground.backup import JOBS, ROWS, Made, Manifest, Plan, Witness
from ikkan.ground.clock import Clock, SystemClock
from ikkan.ground.db import upgrade
from ikkan.ground.errors import BadInput, ChecksumMismatch, HostileFile, UnknownSetting, UnsupportedFormat
from ikkan.ground.settings import Settings

Progress = Callable[[int, int], None]

WITNESSES: Final[Mapping[str, Witness]] = {"events": eventlog.digest, "ledger": ledger.totals}
"""What must be the same before and after. One that comes to count differently gets a new name: an unknown name in an
older backup is passed over."""

_NAMED: Final = re.compile(r"ikkan-\d{8}T\d{6}Z\.tar")


@dataclass(frozen=True, slots=True)
class Restored:
    """A home that came back."""

    home: Path
    made_at: datetime
    version: str
    """Of the ikkan that made the backup."""
    files: int
    bytes: int
    witnesses: Mapping[str, Any]
    """The ledger's totals and the event log's hash: equal to those at the time of the backup."""
    erased_again: int
    """People who were erased after the backup: their keys were destroyed again, and models made again without them."""
    tombstones_found: bool
    """Whether the list of erased people was there. Where not, nobody knows who was erased after the backup."""
    models_missing: tuple[Mapping[str, Any], ...]
    """Models that the home had and the backup names only."""


def back_up(
    settings: Settings,
    target: Path,
    *,
    models: bool = False,
    keep: int | None = None,
    clock: Clock | None = None,
    progress: Progress = lambda done, total: None,
) -> Made:
    """See `bootstrap.back_up`."""
    at = (clock or SystemClock()).now()
    folder = target if target.is_dir() else None
    if keep is not None and (folder is None or keep < 1):
        raise BadInput("--keep needs a folder of backups and a number from 1", hint="ikkan backup FOLDER --keep 14")
    left = {"run", "logs", "cache", "web", "device.json"} | (set() if models else {"models"})
    plan = Plan(
        home=settings.home,
        # Jobs first: a step that the rows know of and the jobs do not runs once more, and steps are idempotent.
        databases={JOBS: _sqlite(settings.jobs_database_url), ROWS: _sqlite(settings.database_url)},
        leave=frozenset(left),
        outside=frozenset({settings.erasures, settings.keys_dir / "erased"}),
        witness=ROWS,
        witnesses=WITNESSES,
    )
    made = backup.make(
        folder / f"ikkan-{at:%Y%m%dT%H%M%SZ}.tar" if folder else target,
        plan,
        version=__version__,
        at=at,
        erasures=settings.erasures,
        models=_models(settings),
        models_included=models,
        progress=progress,
    )
    if folder is not None and keep is not None:
        for old in sorted(path for path in folder.iterdir() if _NAMED.fullmatch(path.name))[:-keep]:
            old.unlink(missing_ok=True)
    return made


def restore(settings: Settings, archive: Path, *, progress: Progress = lambda done, total: None) -> Restored:
    """See `bootstrap.restore`."""
    places = {ROWS: _place(settings, settings.database_url), JOBS: _place(settings, settings.jobs_database_url)}

    def settle(staged: Path, manifest: Manifest) -> Restored:
        return _settle(settings, staged, manifest, places)

    return backup.restore(archive, settings.home, databases=places, settle=settle, progress=progress)


# ---- private ---------------------------------------------------------------------------------------------------------


def _settle(settings: Settings, staged: Path, manifest: Manifest, places: Mapping[str, str]) -> Restored:
    """Compare, bring up to date, forget: in this order, and before anyone may serve."""
    if ROWS not in manifest.databases or "home/keys/master.key" not in manifest.files:
        raise HostileFile("the backup lacks its database or its master key", hint="use another backup")
    rows = staged / places[ROWS]
    known = {name: witness for name, witness in WITNESSES.items() if name in manifest.witnesses}
    seen = backup.testify(rows, known)
    wrong = sorted(name for name, value in seen.items() if value != manifest.witnesses[name])
    if wrong:
        raise ChecksumMismatch(
            f"the restored {' and '.join(wrong)} do not add up to what was backed up", hint="use another backup"
        )
    upgrade(f"sqlite:///{rows}")
    inside = replace(
        settings,
        home=staged,
        database_url=f"sqlite:///{rows}",
        jobs_database_url=f"sqlite:///{staged / places[JOBS]}",
    )
    platform = build(inside)
    try:
        found = settings.erasures.is_file()
        former = Path(manifest.erasures)
        # On the same machine the home's own list counts, also where it comes back under another name.
        if former.is_absolute() and former != settings.erasures and _is_there(former):
            platform.keys.learn(former)
            found = True
        erased_again = forget_again(platform)
        # A backup taken in the middle of an erasure: nobody is served by what it had not reached yet.
        for erasure in platform.eraser.unfinished("asked"):
            platform.eraser.run(erasure.id)
    finally:
        platform.jobs.close()
        platform.database.close()
    return Restored(
        home=settings.home,
        made_at=manifest.made_at,
        version=manifest.version,
        files=len(manifest.files),
        bytes=sum(facts.bytes for facts in manifest.files.values()),
        witnesses=seen,
        erased_again=erased_again,
        tombstones_found=found,
        models_missing=() if manifest.models_included else tuple(manifest.models),
    )


def _is_there(path: Path) -> bool:
    try:
        return path.is_file()
    except PermissionError:  # a folder of somebody else that only has the same name
        return False


def _models(settings: Settings) -> list[dict[str, Any]]:
    store = model_store(settings)
    aliases = store.aliases()
    keys = ("name", "source", "version", "sha256", "bytes")
    return [
        {key: value for key, value in asdict(model).items() if key in keys}
        | {"aliases": sorted(alias for alias, name in aliases.items() if name == model.name)}
        for model in store.list()
    ]


def _sqlite(url: str) -> Path:
    parsed = sa.make_url(url)
    if parsed.get_backend_name() != "sqlite":
        raise UnsupportedFormat(
            "this home keeps its rows in PostgreSQL, which has a backup of its own",
            hint="pg_dump --format=custom for the database; and copy the home's keys and artifacts beside it",
        )
    return Path(parsed.database or "")


def _place(settings: Settings, url: str) -> str:
    path = _sqlite(url)
    if not path.is_relative_to(settings.home):
        raise UnknownSetting(
            f"{path} lies outside the home, and a restore puts a home in place in one step or not at all",
            hint="unset IKKAN_DATABASE_URL and IKKAN_JOBS_DATABASE_URL, restore, then move the file",
            setting="database_url",
        )
    return path.relative_to(settings.home).as_posix()
