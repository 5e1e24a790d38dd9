"""A home in one file, and a home from one file.

    home/keys/master.key …      the home's files under their own names, except what a start makes again
    databases/rows.db …         each database as it was at one moment, also where it lies outside the home
    manifest.json               name, size and sha256 of every file above, and what the databases must add up to
    manifest.sha256             of `manifest.json`, as `sha256sum -c` reads it; the last file of the archive

It is a plain tar file (`tarball.py`): `tar -xf` opens it, and `sha256sum` agrees with the manifest. Written while
everything runs: SQLite's online backup reads each database in one transaction, artifacts never change, and what grows
meanwhile is taken as long as it was. Files are copied after the databases that name them.

Nothing half-done is ever seen: a backup gets its name, and a restored home its place, by one step at the end, after
every byte was checked. What a killed one leaves is removed by the next.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import io
import os
import shutil
import sqlite3
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO, Final, TypeVar

import msgspec
import sqlalchemy as sa

from ikkan.ground import tarball
from ikkan.ground.artifacts import FileFacts
from ikkan.ground.db import Database
from ikkan.ground.errors import (
    AlreadyRunning,
    BadFile,
    BadInput,
    ChecksumMismatch,
    Conflict,
    DatabaseUnready,
    HomeNotEmpty,
    HostileFile,
    NotFound,
    SetupNeeded,
    TruncatedFile,
    UnsupportedFormat,
)
from ikkan.ground.processes import FileLock
from ikkan.ground.tarball import CHUNK, Member

R = TypeVar("R")
Progress = Callable[[int, int], None]
"""Told the bytes done and the bytes in all."""
Witness = Callable[[sa.Connection], Any]
"""Says what a database adds up to, as JSON values: the same before a backup and after a restore."""

FORMAT: Final = 1
ROWS, JOBS = "rows", "jobs"
"""The databases of a home, by what they are for."""

_MANIFEST, _MANIFEST_SUM = "manifest.json", "manifest.sha256"
_MANIFEST_BYTES: Final = 1 << 28
_SQLITE: Final = b"SQLite format 3\0"
_SIDE_FILES: Final = ("-wal", "-shm", "-journal")
_MAKING, _RESTORING = ".making", ".restoring"
_PAGES: Final = 2_048


@dataclass(frozen=True, slots=True)
class Plan:
    """What a backup takes."""

    home: Path
    databases: Mapping[str, Path]
    """SQLite files by role. Copied in this order: what is rather forgotten than foreseen comes first."""
    leave: frozenset[str]
    """Names at the top of the home that a start makes again, or that are too large."""
    outside: frozenset[Path]
    """Files that no backup may hold: the tombstones."""
    witness: str
    """The role of the database that the witnesses look at."""
    witnesses: Mapping[str, Witness]


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What is in a backup. Readers ignore fields they do not know; a field that changes its meaning is a new format."""

    format: int
    version: str
    """Of the ikkan that made it."""
    made_at: datetime
    databases: dict[str, str]
    """Role to member."""
    files: dict[str, FileFacts]
    """Every member but the manifest and its sum."""
    witnesses: dict[str, Any]
    """What the databases add up to."""
    erasures: str
    """Where the tombstones of the home lie: never in here, and asked at a restore on the same machine."""
    models: list[dict[str, Any]]
    """Stored models, by name, source and sha256."""
    models_included: bool
    skipped: list[str]
    """What lay in the home and is not in here: links to folders, sockets, names that no archive can hold."""


@dataclass(frozen=True, slots=True)
class Made:
    """A backup that is whole and on disk."""

    path: Path
    bytes: int
    sha256: str
    """Of the manifest, which has the hash of everything else: two backups with the same one are the same."""
    manifest: Manifest


def make(
    target: Path,
    plan: Plan,
    *,
    version: str,
    at: datetime,
    erasures: Path,
    models: Sequence[Mapping[str, Any]] = (),
    models_included: bool = False,
    progress: Progress = lambda done, total: None,
) -> Made:
    """Write a backup of `plan` to `target`, readable by its owner alone; whole and on disk when this returns.

    Memory stays at a few MiB (and about 200 bytes a file). Beside `target` the databases need room for a second copy.

    Raises:
        Conflict: `target` is there already, or a file became shorter while it was read.
        BadInput: `target` lies in the home.
        NotFound: the home has no database yet.
        SetupNeeded: no room, or no permission, to write there.
        AlreadyRunning: another process is writing this very backup.
    """
    target = target.absolute()
    if target.exists() or target.is_symlink():
        raise Conflict(f"{target} is there already", hint="give another name; a backup overwrites nothing")
    if "?" in str(target):
        raise BadInput(f"{target} has a '?' in its name", hint="choose another name")
    if target.resolve().is_relative_to(plan.home.resolve()):
        raise BadInput(f"{target} lies in the home it is to save", hint="a folder on another disk is best")
    if not plan.databases.get(plan.witness, plan.home / "-").is_file():
        raise NotFound(f"{plan.home} has no database yet", hint="ikkan up makes one; is IKKAN_HOME right?")
    folder = target.with_name(f".{target.name}{_MAKING}")
    with _translated(), _alone(folder, f"a backup to {target} is being made") as making:
        snapshots = _snapshots(plan, making, progress)
        seen = testify(snapshots[_database_member(plan.witness)], plan.witnesses)
        taken = [one for one in _files(plan) if f"home/{one[0]}" not in snapshots]
        total = sum(size for _name, _path, size in taken) + sum(path.stat().st_size for path in snapshots.values())
        staged = making / "archive"
        files: dict[str, FileFacts] = {}
        skipped = sorted(_skipped(plan))
        with _private(staged) as file:
            writer = tarball.Writer(file)
            done = 0
            for name, path, mode in _in_order(snapshots, taken):
                facts = _add(writer, name, path, mode, at)
                if facts is not None:
                    files[name] = facts
                    done += facts.bytes
                    progress(min(done, total), total)
            manifest = Manifest(
                format=FORMAT,
                version=version,
                made_at=at,
                databases={role: name for role in plan.databases if (name := _database_member(role)) in files},
                files=files,
                witnesses=seen,
                erasures=str(erasures),
                models=[dict(model) for model in models],
                models_included=models_included,
                skipped=skipped,
            )
            digest = _write_manifest(writer, manifest, at)
            writer.close()
            file.flush()
            os.fsync(file.fileno())
        size = staged.stat().st_size
        _claim(staged, target)
    return Made(target, size, digest, manifest)


def read_manifest(archive: Path) -> Manifest:
    """What a backup says it holds, after every header was checked and the manifest's own sum.

    Raises:
        NotFound: no such file.
        BadFile: not a backup, cut short, damaged or hostile; the subclass says which.
    """
    with _opened(archive) as file:
        return _scan(file, archive.stat().st_size)


def restore(
    archive: Path,
    home: Path,
    *,
    databases: Mapping[str, str],
    settle: Callable[[Path, Manifest], R],
    progress: Progress = lambda done, total: None,
) -> R:
    """Put a backup's home at `home`: whole, after every checksum held and `settle` agreed, or not at all.

    It is unpacked beside `home` and renamed into its place at the very end. A killed one leaves a folder beside it
    that the next one removes; begin it again with the same command.

    Args:
        databases: where each role's database belongs, relative to the home.
        settle: looks at the unpacked home before anyone may serve from it; what it returns is returned.

    Raises:
        HomeNotEmpty: something is in `home`; it was not touched.
        BadFile: the archive is not a backup, cut short, damaged or hostile; the subclass says which.
        SetupNeeded: no room or no permission to write there, or `home` is a mount point.
        AlreadyRunning: another process restores to this home.
    """
    home = home.resolve()
    _require_empty(home)
    if home.is_mount():
        raise SetupNeeded(
            f"{home} is a mount point, which a whole home cannot be renamed to",
            hint=f"let the home be a folder in it: IKKAN_HOME={home}/home",
        )
    with _opened(archive) as file:
        manifest = _scan(file, archive.stat().st_size)
        total = sum(facts.bytes for facts in manifest.files.values())
        folder = home.with_name(f".{home.name}{_RESTORING}")
        with _translated(), _alone(folder, f"a restore to {home} is under way") as staging:
            # Twice the databases: bringing them to this version and wiping keys writes beside them.
            _require_room(home.parent, total + sum(manifest.files[name].bytes for name in manifest.databases.values()))
            unpacked = staging / "home"
            unpacked.mkdir(mode=0o700)
            _unpack(file, archive.stat().st_size, manifest, unpacked, databases, progress)
            settled = settle(unpacked, manifest)
            os.sync()
            _require_empty(home)
            try:
                unpacked.rename(home)
            except OSError:
                _require_empty(home)  # somebody moved in at the last moment
                raise
            _sync(home.parent)
    return settled


# ---- making ----------------------------------------------------------------------------------------------------------


def _snapshots(plan: Plan, making: Path, progress: Progress) -> dict[str, Path]:
    """Each database at one moment, by member name, as a file of its own. Others go on reading and writing."""
    folder = making / "databases"
    folder.mkdir(mode=0o700)
    found = {_database_member(role): path for role, path in plan.databases.items() if path.is_file()}
    found |= {f"home/{name}": path for name, path, _size in _files(plan) if _is_sqlite(path)}
    copies = {name: folder / f"{number}.db" for number, name in enumerate(found)}
    total, done = sum(path.stat().st_size for path in found.values()), 0
    with contextlib.ExitStack() as stack:
        # All transactions begin before the first page is copied: the databases are of the same moment, or nearly.
        sources = {name: stack.enter_context(_reading(path)) for name, path in found.items()}
        for name, source in sources.items():
            size = found[name].stat().st_size

            def tell(status: int, remaining: int, pages: int, before: int = done, size: int = size) -> None:
                progress(min(total, before + (size * (pages - remaining) // pages if pages else 0)), total)

            _private(copies[name]).close()
            with _named(found[name]), contextlib.closing(sqlite3.connect(copies[name])) as into:
                source.backup(into, pages=_PAGES, progress=tell)
                (sound,) = into.execute("PRAGMA quick_check(1)").fetchone()
                if sound != "ok":
                    raise sqlite3.DatabaseError(sound)
            done += size
    return copies


@contextlib.contextmanager
def _reading(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection inside a read transaction: what others commit from now on stays out of the copy."""
    with contextlib.ExitStack() as stack:
        with _named(path):
            address = f"{path.absolute().as_uri()}?mode=rw"
            opened = sqlite3.connect(address, uri=True, timeout=30, isolation_level=None)
            connection = stack.enter_context(contextlib.closing(opened))
            connection.execute("BEGIN")
            connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        yield connection


@contextlib.contextmanager
def _named(path: Path) -> Iterator[None]:
    """SQLite's errors as ours, with the file they are about."""
    try:
        yield
    except sqlite3.Error as exc:
        code = getattr(exc, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
        if code == sqlite3.SQLITE_FULL:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)) from exc
        if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            raise DatabaseUnready(f"{path} stayed locked by another program", hint="try again in a moment") from exc
        if code in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM):
            raise SetupNeeded(f"this user may not open {path}: {exc}", hint="run it as the owner of the home") from exc
        raise BadFile(
            f"{path} is damaged, or no database: {exc}",
            hint="a copy of it would be too: restore the last good backup, or move the file out of the home",
        ) from exc


def testify(database: Path, witnesses: Mapping[str, Witness]) -> dict[str, Any]:
    """What a SQLite file adds up to, all at one moment.

    Raises:
        BadFile: it is not a database.
        DatabaseUnready: it lacks what a witness looks at.
    """
    opened = Database(f"sqlite:///{database}")
    try:
        with opened.read() as connection:
            seen = {name: witness(connection) for name, witness in witnesses.items()}
    except sa.exc.DatabaseError as exc:
        raise BadFile(f"{database.name} is not a database of ikkan: {exc.orig}", hint="take another backup") from exc
    finally:
        opened.close()
    return seen


def _files(plan: Plan) -> Iterator[tuple[str, Path, int]]:
    """Every file to take, with its size now. In each folder the manifest comes last, as artifacts are written."""
    own = {path.resolve() for path in plan.databases.values()}
    outside = {path.absolute() for path in plan.outside}
    for entry in sorted(plan.home.iterdir()):
        if entry.name in plan.leave:
            continue
        # A folder that was moved to another disk and linked here is still part of the home.
        folders = [entry] if entry.is_dir() else []
        if not folders and _is_taken(entry, entry.name, own, outside):
            yield entry.name, entry, entry.stat().st_size
        while folders:
            folder = folders.pop()
            for path in sorted(folder.iterdir(), key=lambda one: (one.name == _MANIFEST, one.name)):
                name = path.relative_to(plan.home).as_posix()
                if path.is_dir() and not path.is_symlink():
                    if path.name not in (".staging", ".pulling"):
                        folders.append(path)
                elif _is_taken(path, name, own, outside):
                    with contextlib.suppress(FileNotFoundError):
                        yield name, path, path.stat().st_size


def _is_taken(path: Path, name: str, own: set[Path], outside: set[Path]) -> bool:
    base = next((path.with_name(path.name.removesuffix(end)) for end in _SIDE_FILES if path.name.endswith(end)), None)
    if base is not None and (base.resolve() in own or _is_sqlite(base)):
        return False
    return path.is_file() and path.resolve() not in own and path.absolute() not in outside and tarball.is_safe(name)


def _skipped(plan: Plan) -> Iterator[str]:
    """What a person may miss later: links to folders, and what is no file or has a name we cannot keep."""
    for folder, folders, names in os.walk(plan.home):
        at = Path(folder).relative_to(plan.home)
        if at == Path():
            folders[:] = [name for name in folders if name not in plan.leave and not (plan.home / name).is_symlink()]
            names = [name for name in names if name not in plan.leave]
        folders[:] = [name for name in folders if name not in (".staging", ".pulling")]
        yield from (repr((at / name).as_posix()) for name in folders if (Path(folder) / name).is_symlink())
        for name in names:
            path = Path(folder) / name
            if not tarball.is_safe((at / name).as_posix()) or not path.is_file():
                yield repr((at / name).as_posix())


def _is_sqlite(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(len(_SQLITE)) == _SQLITE
    except OSError:
        return False


def _in_order(snapshots: Mapping[str, Path], taken: Sequence[tuple[str, Path, int]]) -> Iterator[tuple[str, Path, int]]:
    for name, path in snapshots.items():
        yield name, path, 0o600
    for name, path, _size in taken:
        with contextlib.suppress(FileNotFoundError):
            yield f"home/{name}", path, stat.S_IMODE(path.stat().st_mode)


def _database_member(role: str) -> str:
    return f"databases/{role}.db"


def _add(writer: tarball.Writer, name: str, path: Path, mode: int, at: datetime) -> FileFacts | None:
    """Append one file, or nothing where it was deleted meanwhile: an artifact goes with its manifest, by one rename."""
    try:
        file = path.open("rb")
    except FileNotFoundError:
        return None
    with file:
        size = os.fstat(file.fileno()).st_size
        return writer.add(name, file, size, mode=mode, mtime_s=int(at.timestamp()))


def _write_manifest(writer: tarball.Writer, manifest: Manifest, at: datetime) -> str:
    encoded = msgspec.json.format(msgspec.json.encode(manifest), indent=1)
    mtime_s = int(at.timestamp())
    digest = writer.add(_MANIFEST, io.BytesIO(encoded), len(encoded), mode=0o600, mtime_s=mtime_s).sha256
    line = f"{digest}  {_MANIFEST}\n".encode()
    writer.add(_MANIFEST_SUM, io.BytesIO(line), len(line), mode=0o600, mtime_s=mtime_s)
    return digest


def _claim(staged: Path, target: Path) -> None:
    """Give the finished file its name, unless somebody took it meanwhile."""
    try:
        os.link(staged, target)
    except FileExistsError as exc:
        raise Conflict(f"{target} appeared meanwhile", hint="give another name; a backup overwrites nothing") from exc
    except OSError:  # a file system without hard links
        staged.rename(target)
    _sync(target.parent)


# ---- restoring -------------------------------------------------------------------------------------------------------


def _scan(file: BinaryIO, total_bytes: int) -> Manifest:
    last: list[Member] = []
    for member in tarball.members(file, total_bytes):
        last = [*last[-1:], member]
    if [member.name for member in last] != [_MANIFEST, _MANIFEST_SUM]:
        raise UnsupportedFormat(
            "this tar file does not end with a backup's manifest", hint="a backup is what `ikkan backup FILE` wrote"
        )
    found, total = last
    if found.bytes > _MANIFEST_BYTES or total.bytes > 200:
        raise HostileFile("the archive's manifest is absurdly large", hint="do not use it")
    file.seek(found.offset)
    encoded = file.read(found.bytes)
    file.seek(total.offset)
    if file.read(total.bytes) != f"{hashlib.sha256(encoded).hexdigest()}  {_MANIFEST}\n".encode():
        raise ChecksumMismatch("the archive's manifest was changed", hint="copy it again, or take another backup")
    try:
        manifest = msgspec.json.decode(encoded, type=Manifest)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
        raise HostileFile(f"the archive's manifest cannot be read: {exc}", hint="take another backup") from exc
    if manifest.format != FORMAT:
        raise UnsupportedFormat(
            f"the backup has format {manifest.format}, and this ikkan reads {FORMAT}",
            hint=f"restore it with the ikkan that made it: {manifest.version[:20]!r}",
        )
    if not set(manifest.databases.values()) <= set(manifest.files):
        raise HostileFile("the manifest names a database that is not there", hint="do not use it")
    return manifest


def _unpack(
    file: BinaryIO,
    total_bytes: int,
    manifest: Manifest,
    into: Path,
    databases: Mapping[str, str],
    progress: Progress,
) -> None:
    roles = {member: role for role, member in manifest.databases.items()}
    total = sum(facts.bytes for facts in manifest.files.values())
    missing, done = dict(manifest.files), 0
    for member in tarball.members(file, total_bytes):
        if member.name in (_MANIFEST, _MANIFEST_SUM):
            continue
        facts = missing.pop(member.name, None)
        if facts is None or facts.bytes != member.bytes:
            raise HostileFile(f"{member.name[:80]} is not what the manifest says", hint="take another backup")
        if member.name in roles:
            if roles[member.name] not in databases:
                raise UnsupportedFormat(f"no place for a database of {roles[member.name][:40]!r}", hint="a newer ikkan")
            path = into / databases[roles[member.name]]
        elif member.name.startswith("home/") and len(member.name) > len("home/"):
            path = into / member.name.removeprefix("home/")
        else:
            raise HostileFile(f"{member.name[:80]} belongs nowhere in a home", hint="do not use it")
        _copy_out(file, member, facts, path)
        done += member.bytes
        progress(done, total)
    if missing:
        raise HostileFile(f"{next(iter(missing))[:80]} is not in the archive", hint="take another backup")


def _copy_out(file: BinaryIO, member: Member, facts: FileFacts, path: Path) -> None:
    # The folder is new and ours, and only we put things in it: there is no link to follow. O_EXCL keeps a name that
    # comes twice (or twice on a file system that knows no capitals) from replacing what was checked before.
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except (FileExistsError, NotADirectoryError, IsADirectoryError) as exc:
        raise HostileFile(f"{member.name[:80]} is in the archive twice", hint="do not use it") from exc
    digest, left = hashlib.sha256(), member.bytes
    with os.fdopen(descriptor, "wb") as out:
        file.seek(member.offset)
        while left:
            chunk = file.read(min(CHUNK, left))
            if not chunk:
                raise TruncatedFile("the archive became shorter while it was read", hint="copy it again")
            digest.update(chunk)
            out.write(chunk)
            left -= len(chunk)
    if digest.hexdigest() != facts.sha256:
        raise ChecksumMismatch(
            f"{member.name[:80]} is not what was backed up", hint="copy the archive again, or use another backup"
        )
    # Nobody else's business, whatever the archive says; artifacts stay read-only.
    path.chmod(0o600 if member.mode & stat.S_IWUSR else 0o400)


def _require_empty(home: Path) -> None:
    try:
        if not home.exists() or (home.is_dir() and not any(home.iterdir())):
            return
    except PermissionError as exc:
        raise SetupNeeded(f"{home} may not be looked into by this user", hint="run this as its owner") from exc
    raise HomeNotEmpty(
        f"{home} is not empty, and a backup is never mixed into what is there",
        hint="move it away, or restore beside it: IKKAN_HOME=/another/place ikkan restore FILE",
        home=str(home),
    )


def _require_room(folder: Path, bytes_needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < bytes_needed:
        raise SetupNeeded(
            f"{folder} has {free / 1e9:,.1f} GB left, and this needs {bytes_needed / 1e9:,.1f} GB",
            hint="make room, or choose another place",
        )


# ---- both ------------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def _alone(folder: Path, told: str) -> Iterator[Path]:
    """A fresh private folder that nobody else works in, gone at the end; a killed one's leftovers go first."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    if not _is_ours(folder):
        raise Conflict(f"{folder} is in the way, and not ours to remove", hint="remove it, or choose another place")
    with FileLock(folder / "lock", told):
        for abandoned in folder.parent.glob(f".*{folder.suffix}"):
            if abandoned != folder:
                _remove_abandoned(abandoned)
        work = folder / "work"
        if work.exists():
            shutil.rmtree(work)
        work.mkdir(mode=0o700)
        try:
            yield work
        finally:
            shutil.rmtree(folder)


def _remove_abandoned(folder: Path) -> None:
    """What a killed one of another name left here: it may hold a copy of the databases."""
    with contextlib.suppress(OSError, AlreadyRunning):
        if _is_ours(folder) and (folder / "lock").is_file():
            with FileLock(folder / "lock", "abandoned"):
                shutil.rmtree(folder)


def _is_ours(folder: Path) -> bool:
    """A real folder of this user: where others may write too, somebody could have put a link there."""
    facts = folder.lstat()
    return stat.S_ISDIR(facts.st_mode) and facts.st_uid == os.geteuid()


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except OSError as exc:
        if exc.errno in (errno.ENOSPC, errno.EDQUOT):
            raise SetupNeeded("the disk is full", hint="make room and try again; nothing was kept") from exc
        if exc.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise SetupNeeded(
                f"this user may not write {exc.filename}", hint="run it as the owner of the home, or choose a place"
            ) from exc
        if exc.errno in (errno.ENAMETOOLONG, errno.ENOTDIR):
            raise BadInput(f"{exc.filename} cannot be a file here", hint="choose another place") from exc
        raise


@contextlib.contextmanager
def _opened(archive: Path) -> Iterator[BinaryIO]:
    try:
        if not archive.is_file():
            raise NotFound(f"there is no backup {archive}", hint="is the path right?")
        file = archive.open("rb")
    except PermissionError as exc:
        raise SetupNeeded(f"{archive} may not be read by this user", hint="run it as the owner of the backup") from exc
    with file:
        yield file


def _private(path: Path) -> BinaryIO:
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
