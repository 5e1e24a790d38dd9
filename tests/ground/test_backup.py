"""A backup is one whole file or none, a restored home is whole or not there, and a hostile archive changes nothing."""

from __future__ import annotations

import hashlib
import io
import json
import os
import signal
import socket
import sqlite3
import stat
import subprocess
import sys
import tarfile
import threading
import tracemalloc
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ikkan.ground import backup, tarball
from ikkan.ground.artifacts import ArtifactStore
from ikkan.ground.backup import JOBS, ROWS, Made, Manifest, Plan
from ikkan.ground.errors import (
    AlreadyRunning,
    BadFile,
    BadInput,
    ChecksumMismatch,
    Conflict,
    DatabaseUnready,
    HomeNotEmpty,
    HostileFile,
    IkkanError,
    NotFound,
    SetupNeeded,
    TruncatedFile,
    UnsupportedFormat,
)
from ikkan.ground.processes import FileLock

AT = datetime(2026, 6, 1, 12, tzinfo=UTC)
PLACES = {ROWS: "ikkan.db", JOBS: "jobs.db"}


def rows(connection: sa.Connection) -> int:
    return int(connection.exec_driver_sql("SELECT count(*) FROM t").scalar_one())


def write(path: Path, count: int = 100) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("CREATE TABLE IF NOT EXISTS t (n INTEGER, filler TEXT)")
        connection.executemany("INSERT INTO t VALUES (?, ?)", [(n, "x" * 400) for n in range(count)])
    connection.close()


def plan_for(home: Path) -> Plan:
    return Plan(
        home=home,
        databases={JOBS: home / "jobs.db", ROWS: home / "ikkan.db"},
        leave=frozenset({"run", "models"}),
        outside=frozenset({home / "keys" / "erased"}),
        witness=ROWS,
        witnesses={"rows": rows},
    )


def back_up(home: Path, target: Path, **more: Any) -> Made:
    return backup.make(target, plan_for(home), version="1.2.3", at=AT, erasures=home.parent / "erased", **more)


def settle(staged: Path, manifest: Manifest) -> dict[str, Any]:
    return backup.testify(staged / "ikkan.db", {"rows": rows})


def restore(archive: Path, home: Path, accept: Callable[[Path, Manifest], Any] = settle) -> Any:
    return backup.restore(archive, home, databases=PLACES, settle=accept)


@pytest.fixture
def full(home: Path) -> Path:
    """A small home with something of everything."""
    write(home / "ikkan.db")
    write(home / "jobs.db", 3)
    (home / "events").mkdir()
    write(home / "events" / "index.db", 7)
    (home / "events" / "segment-1").write_bytes(b"e" * 5_000)
    for folder in ("keys", "run", "models"):
        (home / folder).mkdir(mode=0o700)
    (home / "keys" / "master.key").write_text("secret")
    (home / "keys" / "master.key").chmod(0o600)
    (home / "keys" / "erased").write_text("a" * 64 + " then\n")
    (home / "run" / "supervisor.lock").write_text("1")
    (home / "models" / "large.gguf").write_bytes(b"m" * 9_000)
    (home / "empty").write_bytes(b"")
    ArtifactStore(home / "artifacts").put({"a/weights.npy": b"w" * 3_000}, kind="test", source="test")
    return home


@pytest.fixture
def archive(full: Path, tmp_path: Path) -> Path:
    return back_up(full, tmp_path / "backup.tar").path


def left_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def names_in(archive: Path) -> set[str]:
    with tarfile.open(archive) as tar:
        return set(tar.getnames())


# --- the backup ---


def test_a_home_comes_back_as_it_was(full: Path, archive: Path, tmp_path: Path) -> None:
    there = tmp_path / "deep" / "elsewhere"
    assert restore(archive, there) == {"rows": 100}
    assert left_in(there) == {"ikkan.db", "jobs.db", "keys", "artifacts", "events", "empty"}
    assert (there / "keys" / "master.key").read_text() == "secret"
    assert (there / "events" / "segment-1").read_bytes() == b"e" * 5_000
    (artifact,) = ArtifactStore(there / "artifacts").list()
    assert ArtifactStore(there / "artifacts").verify(artifact.id)
    assert backup.testify(there / "events" / "index.db", {"rows": rows}) == {"rows": 7}
    assert stat.S_IMODE(there.stat().st_mode) == 0o700
    assert stat.S_IMODE((there / "keys" / "master.key").stat().st_mode) == 0o600
    assert left_in(there.parent) == {"elsewhere"}


def test_what_a_start_makes_again_and_the_erased_stay_out(archive: Path) -> None:
    names = names_in(archive)
    assert not any(name.startswith(("home/run", "home/models")) or "erased" in name for name in names)
    assert {"databases/rows.db", "databases/jobs.db", "home/events/index.db", "home/keys/master.key"} <= names
    assert not any(name.endswith(("-wal", "-shm")) for name in names)


def test_tar_and_sha256sum_agree_with_the_manifest(archive: Path) -> None:
    with tarfile.open(archive) as tar:
        content = {info.name: tar.extractfile(info).read() for info in tar}  # type: ignore[union-attr]
    manifest = json.loads(content["manifest.json"])
    told = {name: facts["sha256"] for name, facts in manifest["files"].items()}
    told["manifest.json"] = content["manifest.sha256"].decode().split()[0]
    assert {name: hashlib.sha256(content[name]).hexdigest() for name in told} == told
    assert (manifest["format"], manifest["version"], manifest["witnesses"]) == (1, "1.2.3", {"rows": 100})
    assert set(content) - set(told) == {"manifest.sha256"}


def test_a_backup_is_for_its_owner_alone(archive: Path, tmp_path: Path) -> None:
    assert stat.S_IMODE(archive.stat().st_mode) == 0o600
    assert left_in(tmp_path) == {"home", "backup.tar"}


def test_a_backup_overwrites_nothing(full: Path, archive: Path, tmp_path: Path) -> None:
    before = archive.read_bytes()
    with pytest.raises(Conflict, match="there already"):
        back_up(full, archive)
    (tmp_path / "link.tar").symlink_to(tmp_path / "nowhere")
    with pytest.raises(Conflict, match="there already"):
        back_up(full, tmp_path / "link.tar")
    assert archive.read_bytes() == before


def test_a_backup_never_lies_in_what_it_saves(full: Path) -> None:
    with pytest.raises(BadInput, match="lies in the home"):
        back_up(full, full / "backup.tar")


def test_a_name_that_no_address_can_hold_is_refused(full: Path, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="its name"):
        back_up(full, tmp_path / "what?.tar")


def test_an_empty_home_has_nothing_to_back_up(home: Path, tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="no database"):
        back_up(home, tmp_path / "backup.tar")
    assert left_in(tmp_path) == {"home"}


def test_a_database_that_is_none_is_named(full: Path, tmp_path: Path) -> None:
    (full / "jobs.db").write_bytes(b"SQLite format 3\0" + os.urandom(5_000))
    with pytest.raises(BadFile, match=r"jobs\.db"):
        back_up(full, tmp_path / "backup.tar")
    assert left_in(tmp_path) == {"home"}


def test_a_damaged_database_is_told_when_it_is_saved_not_when_it_is_needed(full: Path, tmp_path: Path) -> None:
    with sqlite3.connect(full / "ikkan.db") as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    content = bytearray((full / "ikkan.db").read_bytes())
    content[4_096 * 3 : 4_096 * 3 + 64] = os.urandom(64)
    (full / "ikkan.db").write_bytes(content)
    with pytest.raises(BadFile, match=r"ikkan\.db is damaged"):
        back_up(full, tmp_path / "backup.tar")
    assert left_in(tmp_path) == {"home"}


def test_a_database_that_stays_locked_is_not_called_damaged(
    full: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", lambda path, **more: connect(path, **(more | {"timeout": 0})))
    with connect(full / "jobs.db", isolation_level=None) as holder:
        holder.execute("PRAGMA journal_mode=DELETE")
        holder.execute("BEGIN EXCLUSIVE")
        with pytest.raises(DatabaseUnready, match="locked"):
            back_up(full, tmp_path / "backup.tar")
    holder.close()


def test_a_link_where_we_work_is_not_followed(full: Path, archive: Path, tmp_path: Path) -> None:
    (tmp_path / "victim").mkdir()
    (tmp_path / "victim" / "lock").write_text("precious")
    for name in (".other.tar.making", ".there.restoring"):
        (tmp_path / name).symlink_to(tmp_path / "victim", target_is_directory=True)
    with pytest.raises(Conflict, match="in the way"):
        back_up(full, tmp_path / "other.tar")
    with pytest.raises(Conflict, match="in the way"):
        restore(archive, tmp_path / "there")
    back_up(full, tmp_path / "third.tar")  # sweeps what killed ones left, and this is none
    assert (tmp_path / "victim" / "lock").read_text() == "precious"


def test_models_come_along_when_asked_for(full: Path, tmp_path: Path) -> None:
    (tmp_path / "outside.gguf").write_bytes(b"linked")
    (full / "models" / "linked.gguf").symlink_to(tmp_path / "outside.gguf")
    plan = plan_for(full)
    with_models = Plan(plan.home, plan.databases, frozenset({"run"}), plan.outside, plan.witness, plan.witnesses)
    backup.make(
        tmp_path / "all.tar", with_models, version="1", at=AT, erasures=tmp_path / "erased", models_included=True
    )
    restore(tmp_path / "all.tar", tmp_path / "there")
    assert (tmp_path / "there" / "models" / "large.gguf").stat().st_size == 9_000
    assert not (tmp_path / "there" / "models" / "linked.gguf").is_symlink()
    assert (tmp_path / "there" / "models" / "linked.gguf").read_bytes() == b"linked"


def test_what_no_archive_can_hold_is_told(full: Path, tmp_path: Path) -> None:
    (full / "artifacts" / "elsewhere").symlink_to(tmp_path, target_is_directory=True)
    (full / "back\\slash").write_text("x")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(full / "sock"))
        made = back_up(full, tmp_path / "backup.tar")
    assert made.manifest.skipped == ["'artifacts/elsewhere'", "'back\\\\slash'", "'sock'"]
    restore(made.path, tmp_path / "there")


def test_a_folder_moved_to_another_disk_is_still_part_of_the_home(full: Path, tmp_path: Path) -> None:
    (full / "artifacts").rename(tmp_path / "disk")
    (full / "artifacts").symlink_to(tmp_path / "disk", target_is_directory=True)
    restore(back_up(full, tmp_path / "backup.tar").path, tmp_path / "there")
    assert len(list(ArtifactStore(tmp_path / "there" / "artifacts").list())) == 1


def test_a_database_outside_the_home_comes_along(full: Path, tmp_path: Path) -> None:
    (full / "ikkan.db").rename(tmp_path / "outside.db")
    plan = plan_for(full)
    moved = {JOBS: full / "jobs.db", ROWS: tmp_path / "outside.db"}
    made = backup.make(
        tmp_path / "backup.tar",
        Plan(full, moved, plan.leave, plan.outside, ROWS, plan.witnesses),
        version="1",
        at=AT,
        erasures=tmp_path / "erased",
    )
    assert restore(made.path, tmp_path / "there") == {"rows": 100}


WRITER = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], timeout=30, isolation_level=None)
connection.execute("PRAGMA synchronous=NORMAL")
while True:
    # Ten rows or none: a copy that is not of one moment would see another number.
    connection.execute("BEGIN IMMEDIATE")
    connection.executemany("INSERT INTO t VALUES (?, ?)", [(n, "y" * 400) for n in range(10)])
    connection.execute("COMMIT")
    print("wrote", flush=True)
"""


def test_a_backup_taken_while_another_process_writes_is_of_one_moment(full: Path, tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", WRITER, str(full / "ikkan.db")], stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None and writer.stdout.readline() == b"wrote\n"
        drain = threading.Thread(target=writer.stdout.read)
        drain.start()
        made = [back_up(full, tmp_path / f"{n}.tar") for n in range(3)]
        assert writer.poll() is None, "the writer was kept out"
        writer.kill()
        drain.join()
    counted = [one.manifest.witnesses["rows"] for one in made]
    assert 100 < counted[0] < counted[1] < counted[2] and all(count % 10 == 0 for count in counted)
    assert restore(made[-1].path, tmp_path / "there") == {"rows": counted[-1]}


def test_an_artifact_deleted_meanwhile_is_left_out_whole(
    full: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = ArtifactStore(full / "artifacts")
    (artifact,) = store.list()
    real = tarball.Writer.add

    def add(self: tarball.Writer, name: str, *words: Any, **more: Any) -> Any:
        store.delete(artifact.id)
        return real(self, name, *words, **more)

    monkeypatch.setattr(tarball.Writer, "add", add)
    restore(back_up(full, tmp_path / "backup.tar").path, tmp_path / "there")
    assert list(ArtifactStore(tmp_path / "there" / "artifacts").list()) == []


def test_progress_goes_up_to_all_of_it(full: Path, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    made = back_up(full, tmp_path / "backup.tar", progress=lambda *step: told.append(step))
    assert all(0 <= done <= total for done, total in told) and told[-1][0] == told[-1][1] > 0
    told.clear()
    backup.restore(made.path, tmp_path / "x", databases=PLACES, settle=settle, progress=lambda *step: told.append(step))
    assert told[-1][0] == told[-1][1]


def test_memory_does_not_grow_with_what_is_saved(full: Path, tmp_path: Path) -> None:
    with (full / "large").open("wb") as file:
        file.truncate(64 << 20)
    tracemalloc.start()
    try:
        made = back_up(full, tmp_path / "backup.tar")
        restore(made.path, tmp_path / "there")
        _now, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 8 << 20
    assert (tmp_path / "there" / "large").stat().st_size == 64 << 20


def test_two_backups_to_one_name_do_not_meet(full: Path, tmp_path: Path) -> None:
    with FileLock(tmp_path / ".backup.tar.making" / "lock", "held"), pytest.raises(AlreadyRunning):
        back_up(full, tmp_path / "backup.tar")


def test_a_full_disk_leaves_nothing(full: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full_disk(self: tarball.Writer, *words: Any, **more: Any) -> Any:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tarball.Writer, "add", full_disk)
    with pytest.raises(SetupNeeded, match="full"):
        back_up(full, tmp_path / "backup.tar")
    assert left_in(tmp_path) == {"home"}


# --- the restore ---


def test_only_an_empty_home_is_restored_into(archive: Path, tmp_path: Path) -> None:
    there = tmp_path / "there"
    there.mkdir()
    (there / "mine").write_text("precious")
    with pytest.raises(HomeNotEmpty):
        restore(archive, there)
    assert left_in(there) == {"mine"}
    (there / "mine").unlink()
    restore(archive, there)
    assert (there / "ikkan.db").is_file()


def test_a_file_in_the_homes_place_is_not_touched(archive: Path, tmp_path: Path) -> None:
    (tmp_path / "there").write_text("a file")
    with pytest.raises(HomeNotEmpty):
        restore(archive, tmp_path / "there")
    assert (tmp_path / "there").read_text() == "a file"


def test_a_home_that_fills_meanwhile_is_not_touched(archive: Path, tmp_path: Path) -> None:
    there = tmp_path / "there"

    def somebody_moves_in(staged: Path, manifest: Manifest) -> None:
        there.mkdir()
        (there / "mine").write_text("precious")

    with pytest.raises(HomeNotEmpty):
        restore(archive, there, somebody_moves_in)
    assert left_in(there) == {"mine"} and left_in(tmp_path) == {"home", "backup.tar", "there"}


def test_a_home_that_does_not_settle_is_not_put_in_place(archive: Path, tmp_path: Path) -> None:
    def refuse(staged: Path, manifest: Manifest) -> None:
        raise ChecksumMismatch("no")

    with pytest.raises(ChecksumMismatch):
        restore(archive, tmp_path / "there", refuse)
    assert left_in(tmp_path) == {"home", "backup.tar"}


def test_a_mount_point_is_named(archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "is_mount", lambda self: True)
    with pytest.raises(SetupNeeded, match="mount point"):
        restore(archive, tmp_path / "there")


def test_too_little_room_is_told_before_anything_is_written(
    archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda folder: type("Usage", (), {"free": 10})())
    with pytest.raises(SetupNeeded, match="GB left"):
        restore(archive, tmp_path / "there")
    assert left_in(tmp_path) == {"home", "backup.tar"}


def test_a_backup_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        restore(tmp_path / "nothing.tar", tmp_path / "there")


KILLED = """
import os, signal, sys
from pathlib import Path
sys.path.insert(0, sys.argv[4])
import test_backup as this
work, path, other = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
def die(*words, **more):
    os.kill(os.getpid(), signal.SIGKILL)
{patch}
{{"make": this.back_up, "restore": this.restore}}[work](path, other)
"""


def kill_within(work: str, path: Path, other: Path, patch: str) -> None:
    here = Path(__file__)
    done = subprocess.run(
        [sys.executable, "-c", KILLED.format(patch=patch), work, str(path), str(other), str(here.parent)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr


@pytest.mark.parametrize(
    "patch", ["this.backup.testify = die", "this.backup._write_manifest = die", "this.backup._claim = die"]
)
def test_a_killed_backup_leaves_no_backup_and_the_next_one_cleans_up(full: Path, tmp_path: Path, patch: str) -> None:
    kill_within("make", full, tmp_path / "backup.tar", patch)
    assert not (tmp_path / "backup.tar").exists()
    back_up(full, tmp_path / "another.tar")
    assert left_in(tmp_path) == {"home", "another.tar"}


@pytest.mark.parametrize(
    "patch",
    ["this.backup._copy_out = die", "this.backup.testify = die", "this.backup.os.sync = die"],
)
def test_a_killed_restore_leaves_no_home_and_may_begin_again(archive: Path, tmp_path: Path, patch: str) -> None:
    kill_within("restore", archive, tmp_path / "there", patch)
    assert not (tmp_path / "there").exists()
    assert restore(archive, tmp_path / "there") == {"rows": 100}
    assert left_in(tmp_path) == {"home", "backup.tar", "there"}


def test_a_restore_killed_after_its_last_step_is_whole(archive: Path, tmp_path: Path) -> None:
    kill_within("restore", archive, tmp_path / "there", "this.backup._sync = die")
    assert settle(tmp_path / "there", backup.read_manifest(archive)) == {"rows": 100}


# --- archives that lie ---


def forge(path: Path, members: dict[str, bytes], **changes: Any) -> Path:
    """An archive that is consistent in itself, whatever it says."""
    told = {name: {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)} for name, content in
            members.items()}  # fmt: skip
    manifest: dict[str, Any] = {
        "format": 1, "version": "1", "made_at": AT.isoformat(), "databases": {}, "files": told, "witnesses": {},
        "erasures": "", "models": [], "models_included": False, "skipped": [],
    }  # fmt: skip
    encoded = changes.pop("raw", None) or json.dumps(manifest | changes).encode()
    line = f"{hashlib.sha256(encoded).hexdigest()}  manifest.json\n".encode()
    with path.open("wb") as file:
        writer = tarball.Writer(file)
        for name, content in [*members.items(), ("manifest.json", encoded), ("manifest.sha256", line)]:
            writer.add(name, io.BytesIO(content), len(content), mode=0o6777, mtime_s=0)
        writer.close()
    return path


def accept(staged: Path, manifest: Manifest) -> None:
    return None


FACTS = {"sha256": hashlib.sha256(b"x").hexdigest(), "bytes": 1}


@pytest.mark.parametrize(
    ("files", "changes", "error"),
    [
        ({"etc/passwd": b"x"}, {}, HostileFile),
        ({"home/a": b"x", "home/a/b": b"x"}, {}, HostileFile),
        ({"home/a/b": b"x", "home/a": b"x"}, {}, HostileFile),
        ({"home/a": b"x"}, {"files": {}}, HostileFile),
        ({"home/a": b"x"}, {"files": {"home/a": FACTS, "home/b": FACTS}}, HostileFile),
        ({"home/a": b"x"}, {"files": {"home/a": FACTS | {"bytes": 1 << 60}}}, (HostileFile, SetupNeeded)),
        ({"home/a": b"x"}, {"files": {"home/a": FACTS | {"sha256": "0" * 64}}}, ChecksumMismatch),
        ({"home/a": b"x"}, {"databases": {"rows": "databases/rows.db"}}, HostileFile),
        ({"home/a": b"x"}, {"databases": {"strange": "home/a"}}, UnsupportedFormat),
        ({"home/a": b"x", "home/ikkan.db": b"x"}, {"databases": {"rows": "home/a"}}, HostileFile),
        ({"home/a": b"x"}, {"format": 99}, UnsupportedFormat),
        ({"home/a": b"x"}, {"raw": b"{}"}, HostileFile),
        ({"home/a": b"x"}, {"raw": b"[" * 100_000}, HostileFile),
        ({"home/a": b"x"}, {"raw": b"\xff\xfe"}, HostileFile),
        ({"manifest.json": b"x"}, {}, BadFile),
    ],
)
def test_an_archive_that_lies_is_refused_and_changes_nothing(
    tmp_path: Path, files: dict[str, bytes], changes: dict[str, Any], error: type[IkkanError]
) -> None:
    forged = forge(tmp_path / "forged.tar", files, **changes)
    with pytest.raises(error):
        restore(forged, tmp_path / "there", accept)
    assert left_in(tmp_path) == {"forged.tar"}


def test_a_name_that_comes_twice_is_refused(tmp_path: Path) -> None:
    forged = forge(tmp_path / "forged.tar", {"home/a": b"x"})
    content = forged.read_bytes()
    forged.write_bytes(content[:1_024] + content)
    with pytest.raises(HostileFile):
        restore(forged, tmp_path / "there", accept)


def test_no_bit_but_the_owners_is_set(tmp_path: Path) -> None:
    restore(forge(tmp_path / "forged.tar", {"home/a": b"x"}), tmp_path / "there", accept)
    assert stat.S_IMODE((tmp_path / "there" / "a").stat().st_mode) == 0o600


def test_another_tar_is_not_a_backup(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "other.tar", "w") as tar:
        tar.addfile(tarfile.TarInfo("hello"))
    with pytest.raises(UnsupportedFormat):
        restore(tmp_path / "other.tar", tmp_path / "there")
    with (tmp_path / "empty.tar").open("wb") as file:
        tarball.Writer(file).close()
    with pytest.raises(UnsupportedFormat):
        restore(tmp_path / "empty.tar", tmp_path / "there")


def test_a_backup_cut_short_is_told(archive: Path, tmp_path: Path) -> None:
    os.truncate(archive, archive.stat().st_size - 5_000)
    with pytest.raises(TruncatedFile):
        restore(archive, tmp_path / "there")


def test_every_changed_byte_is_found_or_harmless(archive: Path, tmp_path: Path) -> None:
    whole = archive.read_bytes()
    damaged = tmp_path / "damaged.tar"

    @settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.integers(0, len(whole) - 1), st.integers(1, 255))
    def change(at: int, by: int) -> None:
        content = bytearray(whole)
        content[at] ^= by
        damaged.write_bytes(content)
        home = tmp_path / f"there-{at}-{by}"
        try:
            restore(damaged, home, accept)
        except BadFile:
            assert not home.exists()
        else:  # padding, or a header's time: no content
            assert (home / "events" / "segment-1").read_bytes() == b"e" * 5_000
            assert settle(home, backup.read_manifest(damaged)) == {"rows": 100}
        assert not [name for name in left_in(tmp_path) if name.startswith(".")]

    change()
