"""Backup, loss, restore: the ledger adds up as before, every event is there, and who was erased stays erased."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from ikkan import bootstrap
from ikkan.bootstrap import backup
from ikkan.bootstrap.platform import Platform, forget_again
from ikkan.cloud.ledger import Bill, Hold, Ledger
from ikkan.cloud.tables import meter
from ikkan.cloud.values import LOCAL_TENANT, Principal, Usage
from ikkan.ground import backup as archives
from ikkan.ground import eventlog
from ikkan.ground.clock import FakeClock, SystemClock
from ikkan.ground.db import is_current, upgrade
from ikkan.ground.errors import (
    BadInput,
    ChecksumMismatch,
    DatabaseUnready,
    ErasedSubject,
    HomeNotEmpty,
    HostileFile,
    UnknownSetting,
    UnsupportedFormat,
)
from ikkan.ground.eventlog import Keys
from ikkan.ground.events import SERVICE, NewEvent
from ikkan.ground.ids import KeyId, RequestId, SubjectId
from ikkan.ground.settings import GIB, Machine, Settings, load_settings


def settings_in(folder: Path, **environ: str) -> Settings:
    machine = Machine(cores=2, cores_reason="test", memory_bytes=8 * GIB, memory_reason="test")
    return load_settings({"IKKAN_HOME": str(folder / "home"), **environ}, machine=machine)


@dataclass
class House:
    """A home that has been used, and its backup."""

    settings: Settings
    archive: Path
    person: SubjectId
    """Somebody whose corrections the flywheel learns from."""


@pytest.fixture(scope="module")
def _template(tmp_path_factory: pytest.TempPathFactory) -> House:
    folder = tmp_path_factory.mktemp("used")
    settings = settings_in(folder)
    with bootstrap.opened(settings) as platform:
        bootstrap.load_sample(platform)
        platform.cloud.service.prepare()
        key = platform.cloud.service.create_key("first", budget_micros=1_000_000).key
        person = next(iter(people(platform)))
        books = Ledger(platform.clock)
        for number in range(5):
            with platform.database.transaction() as connection:
                books.reserve(connection, hold(key.id, person, number))
                books.settle(connection, RequestId(f"r{number}"), 1, Bill("served", Usage(3, 0, 2), 100 + number))
        with platform.database.transaction() as connection:
            books.reserve(connection, hold(key.id, person, 9))  # being answered while the backup is taken
    return House(settings, bootstrap.back_up(settings, folder / "backup.tar").path, person)


@pytest.fixture
def house(_template: House, tmp_path: Path) -> House:
    """The used home, in a folder of this test's own."""
    shutil.copytree(_template.settings.home, tmp_path / "first" / "home")
    settings = settings_in(tmp_path / "first")
    return House(settings, bootstrap.back_up(settings, tmp_path / "backup.tar").path, _template.person)


def hold(key_id: KeyId, person: SubjectId, number: int) -> Hold:
    return Hold(
        request_id=RequestId(f"r{number}"), attempt=1, tenant_id=LOCAL_TENANT, key_id=key_id, subject_id=person,
        endpoint="chat", model="m", upstream="u", upstream_model="m", amount_micros=1_000,
    )  # fmt: skip


def people(platform: Platform) -> set[SubjectId]:
    """Whose words the dataset builder sees."""
    learnable = platform.apps[0].learns[0]
    later = SystemClock().now() + timedelta(days=1)
    examples = learnable.examples(platform.events.reader(), later)
    return {SubjectId(unit) for unit in examples.unit_ids}


def heard(platform: Platform, person: SubjectId) -> int:
    """Events of a person that anybody may read."""
    names = ["InferenceServed", "FeedbackGiven"]
    return sum(event.subject_id == person for event in platform.events.reader().read(names, purpose=SERVICE))


def erase(settings: Settings, person: SubjectId) -> None:
    with bootstrap.opened(settings) as platform, platform.database.transaction() as connection:
        platform.events.erase(connection, LOCAL_TENANT, person)


def wrapped_keys(platform: Platform, person: SubjectId) -> int:
    table = eventlog.keys_table
    with platform.database.read() as connection:
        return len(connection.execute(sa.select(table.c.created_at).where(table.c.subject_id == person)).all())


def test_ledger_and_events_add_up_as_at_the_time_of_the_backup(house: House, tmp_path: Path) -> None:
    there = settings_in(tmp_path / "second")
    restored = bootstrap.restore(there, house.archive)
    manifest = archives.read_manifest(house.archive)
    assert restored.witnesses == manifest.witnesses
    assert manifest.witnesses["ledger"]["debits_micros"]["JPY"] == 5 * 1_000 * 2 + 10 + 500 + 1_000
    assert manifest.witnesses["ledger"]["entries"] == 5 * 6 + 2
    assert manifest.witnesses["events"]["events"] > 500
    for home in (house.settings, there):
        assert archives.testify(home.home / "ikkan.db", backup.WITNESSES) == manifest.witnesses
    with bootstrap.opened(there) as platform:
        assert platform.cloud.service.audit().is_sound
        assert house.person in people(platform) and heard(platform, house.person) > 0
        (key,) = platform.cloud.service.keys()
        assert key.name == "first"


def test_the_champion_and_its_artifact_come_back(house: House, tmp_path: Path) -> None:
    there = settings_in(tmp_path / "second")
    bootstrap.restore(there, house.archive)
    with bootstrap.opened(house.settings) as before, bootstrap.opened(there) as after:
        name = "assistant.answer"
        assert before.flywheel.status(name).champion == after.flywheel.status(name).champion
        assert before.flywheel.champion(name).files == after.flywheel.champion(name).files


def same_home(house: House, tmp_path: Path) -> Settings:
    shutil.rmtree(house.settings.home)
    return house.settings


def another_home_of_this_machine(house: House, tmp_path: Path) -> Settings:
    return settings_in(tmp_path / "second")


def another_machine_with_the_list(house: House, tmp_path: Path) -> Settings:
    (tmp_path / "carried").mkdir()
    house.settings.erasures.rename(tmp_path / "carried" / "erased")
    return settings_in(tmp_path / "second", IKKAN_ERASURES=str(tmp_path / "carried" / "erased"))


@pytest.mark.parametrize("where", [same_home, another_home_of_this_machine, another_machine_with_the_list])
def test_whoever_is_erased_after_a_backup_stays_erased(
    house: House, tmp_path: Path, where: Callable[[House, Path], Settings]
) -> None:
    erase(house.settings, house.person)
    there = where(house, tmp_path)
    restored = bootstrap.restore(there, house.archive)
    assert (restored.erased_again, restored.tombstones_found) == (1, True)
    assert restored.witnesses == archives.read_manifest(house.archive).witnesses
    with bootstrap.opened(there) as platform:
        assert heard(platform, house.person) == 0 and house.person not in people(platform)
        assert len(people(platform)) > 5
        assert wrapped_keys(platform, house.person) == 0
        with pytest.raises(ErasedSubject), platform.database.transaction() as connection:
            event = NewEvent("Seen", 1, LOCAL_TENANT, house.person, platform.clock.now(), SERVICE, {})
            platform.events.append(connection, event)
        with platform.database.read() as connection:
            assert connection.scalars(sa.select(meter.c.subject_id).distinct()).all() == [None]


def test_the_restored_database_file_holds_no_trace_of_the_erased_persons_key(house: House, tmp_path: Path) -> None:
    with bootstrap.opened(house.settings) as platform, platform.database.read() as connection:
        table = eventlog.keys_table
        wrapped = connection.scalars(sa.select(table.c.wrapped_key).where(table.c.subject_id == house.person)).one()
    assert wrapped in house.archive.read_bytes()
    erase(house.settings, house.person)
    there = settings_in(tmp_path / "second")
    bootstrap.restore(there, house.archive)
    assert all(wrapped not in path.read_bytes() for path in there.home.glob("ikkan.db*"))


def test_an_erased_persons_file_does_not_come_back(house: House, tmp_path: Path) -> None:
    person = SubjectId("s-who-only-uploaded")
    (tmp_path / "lines.jsonl").write_text(
        '{"messages": [{"role": "user", "content": "Who?"}, {"role": "assistant", "content": "Ada Lovelace."}]}'
    )
    with bootstrap.opened(house.settings) as platform:
        assert platform.cloud.tuning is not None
        platform.cloud.tuning.bring(Principal(LOCAL_TENANT, None, person, frozenset()), tmp_path / "lines.jsonl")
    archive = bootstrap.back_up(house.settings, tmp_path / "with-a-file.tar").path
    assert b"Ada Lovelace." in archive.read_bytes()
    erase(house.settings, person)
    there = settings_in(tmp_path / "second")
    bootstrap.restore(there, archive)
    assert [path for path in there.files_dir.rglob("*") if path.is_file()] == []
    with bootstrap.opened(there) as platform:
        assert platform.cloud.tuning is not None and platform.cloud.tuning.files(LOCAL_TENANT).items == []


def test_a_list_that_arrives_after_the_restore_counts_at_the_next_start(house: House, tmp_path: Path) -> None:
    erase(house.settings, house.person)
    kept = house.settings.erasures.read_bytes()
    house.settings.erasures.unlink()
    there = settings_in(tmp_path / "second")
    restored = bootstrap.restore(there, house.archive)
    assert (restored.erased_again, restored.tombstones_found) == (0, False)
    there.erasures.write_bytes(kept)
    with bootstrap.opened(there) as platform:
        assert heard(platform, house.person) == 0 and house.person not in people(platform)
        assert forget_again(platform) == 1
        assert wrapped_keys(platform, house.person) == 0


def test_the_list_lies_outside_home_and_backup(house: House, tmp_path: Path) -> None:
    erase(house.settings, house.person)
    tombstone = house.settings.erasures.read_text().split()[0]
    assert not house.settings.erasures.is_relative_to(house.settings.home)
    # The database knows it too, and only there may a later backup hold it: as a hash that names nobody.
    later = bootstrap.back_up(house.settings, tmp_path / "later.tar")
    assert not [name for name in later.manifest.files if "erased" in name]
    house.settings.erasures.unlink()
    there = settings_in(tmp_path / "second")
    assert bootstrap.restore(there, later.path).erased_again == 0
    assert there.erasures.read_text().split()[0] == tombstone


def test_a_backup_of_an_older_release_is_brought_up_to_date(tmp_path: Path) -> None:
    old = settings_in(tmp_path / "old")
    upgrade(old.database_url, revision="0005")
    Keys.open(old.keys_dir)
    made = bootstrap.back_up(old, tmp_path / "old.tar")
    there = settings_in(tmp_path / "second")
    bootstrap.restore(there, made.path)
    assert not is_current(old.database_url) and is_current(there.database_url)


def test_a_backup_of_a_newer_release_is_not_put_in_place(house: House, tmp_path: Path) -> None:
    with bootstrap.opened(house.settings) as platform, platform.database.transaction() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = 'from-the-future'")
    newer = archives.make(
        tmp_path / "newer.tar", plan_of(house.settings), version="99", at=SystemClock().now(),
        erasures=house.settings.erasures,
    )  # fmt: skip
    with pytest.raises(DatabaseUnready, match="another version"):
        bootstrap.restore(settings_in(tmp_path / "second"), newer.path)
    assert not (tmp_path / "second" / "home").exists()


def plan_of(settings: Settings, **changes: Any) -> archives.Plan:
    plan = archives.Plan(
        home=settings.home,
        databases={archives.ROWS: settings.home / "ikkan.db"},
        leave=frozenset({"run", "models"}),
        outside=frozenset(),
        witness=archives.ROWS,
        witnesses=backup.WITNESSES,
    )
    return replace(plan, **changes)


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"witnesses": {"ledger": lambda connection: {"entries": 1}}}, ChecksumMismatch),
        ({"leave": frozenset({"keys"})}, HostileFile),
    ],
)
def test_a_backup_that_does_not_add_up_is_not_put_in_place(
    house: House, tmp_path: Path, changes: dict[str, Any], error: type[Exception]
) -> None:
    wrong = archives.make(
        tmp_path / "wrong.tar", plan_of(house.settings, **changes), version="1", at=SystemClock().now(),
        erasures=house.settings.erasures,
    )  # fmt: skip
    with pytest.raises(error):
        bootstrap.restore(settings_in(tmp_path / "second"), wrong.path)
    assert list((tmp_path / "second").iterdir()) == []


def test_a_used_home_is_not_restored_over(house: House) -> None:
    with pytest.raises(HomeNotEmpty):
        bootstrap.restore(house.settings, house.archive)


def test_a_database_elsewhere_is_said_plainly(house: House, tmp_path: Path) -> None:
    postgres = settings_in(tmp_path / "first", IKKAN_DATABASE_URL="postgresql+psycopg://ada@db.example/ikkan")
    with pytest.raises(UnsupportedFormat, match="PostgreSQL"):
        bootstrap.back_up(postgres, tmp_path / "x.tar")
    outside = settings_in(tmp_path / "second", IKKAN_DATABASE_URL=f"sqlite:///{tmp_path}/outside.db")
    with pytest.raises(UnknownSetting, match="outside the home"):
        bootstrap.restore(outside, house.archive)


def test_a_folder_of_backups_keeps_the_newest(house: House, tmp_path: Path, clock: FakeClock) -> None:
    folder = tmp_path / "backups"
    folder.mkdir()
    (folder / "notes.tar").write_text("mine")
    for _day in range(4):
        backup.back_up(house.settings, folder, keep=2, clock=clock)
        clock.advance(86_400)
    assert sorted(path.name for path in folder.iterdir()) == [
        "ikkan-20260603T120000Z.tar", "ikkan-20260604T120000Z.tar", "notes.tar",
    ]  # fmt: skip


@pytest.mark.parametrize(("target", "keep"), [("file.tar", 3), ("", 0)])
def test_keeping_needs_a_folder_and_a_number(house: House, tmp_path: Path, target: str, keep: int) -> None:
    with pytest.raises(BadInput, match="--keep"):
        bootstrap.back_up(house.settings, tmp_path / target, keep=keep)


def test_both_commands_say_what_they_did(house: House, tmp_path: Path) -> None:
    def ikkan(home: Path, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
        environ = {name: value for name, value in os.environ.items() if not name.startswith("IKKAN_")}
        return subprocess.run(
            [sys.executable, "-m", "ikkan", *words],
            env=environ | {"IKKAN_HOME": str(home), **more}, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip

    made = json.loads(ikkan(house.settings.home, "backup", str(tmp_path / "a.tar"), "--json").stdout)
    there = tmp_path / "second" / "home"
    restored = json.loads(ikkan(there, "restore", str(tmp_path / "a.tar"), "--json").stdout)
    assert restored["witnesses"] == made["witnesses"] and restored["home"] == str(there)
    again = ikkan(there, "restore", str(tmp_path / "a.tar"), "--json")
    assert (again.returncode, json.loads(again.stderr)["error"]["code"]) == (2, "home_not_empty")
    spoken = ikkan(house.settings.home, "backup", str(tmp_path / "b.tar"), IKKAN_TERMINAL_LANGUAGE="ja")
    assert "鍵も入っています" in spoken.stdout and spoken.stderr == ""
