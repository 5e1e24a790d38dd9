"""The event log keeps what happened, opens it only for who may read, and can forget a person for good."""

from __future__ import annotations

import hashlib
import json
import shutil
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from ikkan.ground import eventlog
from ikkan.ground.clock import FakeClock
from ikkan.ground.db import Database
from ikkan.ground.errors import ErasedSubject, SetupNeeded
from ikkan.ground.eventlog import EventLog, Keys, reading
from ikkan.ground.events import EventReader, NewEvent
from ikkan.ground.fakes import FakeEvents
from ikkan.ground.ids import SubjectId, TenantId

TENANT, OTHER = TenantId("tenant-1"), TenantId("tenant-2")
ADA, BOB = SubjectId("ada"), SubjectId("bob")
AT = datetime(2026, 6, 1, 12, tzinfo=UTC)


def seen(n: int, subject: SubjectId | None = ADA, tenant: TenantId = TENANT, name: str = "Seen") -> NewEvent:
    return NewEvent(name, 1, tenant, subject, AT, "service", {"n": n, "言葉": "猫"})


class Kept:
    """The real log, driven like the fake one: each call in a transaction of its own."""

    def __init__(self, database: Database, clock: FakeClock, keys: Keys) -> None:
        self.database, self.log = database, EventLog(database, clock, keys)

    def append(self, *events: NewEvent) -> list[Any]:
        with self.database.transaction() as connection:
            return list(self.log.append(connection, *events))

    def set_consent(self, *words: Any) -> None:
        with self.database.transaction() as connection:
            self.log.set_consent(connection, *words)

    def erase(self, tenant: TenantId, subject: SubjectId) -> None:
        with self.database.transaction() as connection:
            self.log.erase(connection, tenant, subject)

    def read(self, *words: Any, **more: Any) -> Iterator[Any]:
        return self.log.reader().read(*words, **more)


@pytest.fixture
def keys(home: Path) -> Keys:
    return Keys.open(home / "keys")


@pytest.fixture
def kept(database: Database, clock: FakeClock, keys: Keys) -> Kept:
    return Kept(database, clock, keys)


@contextmanager
def a_fake(request: pytest.FixtureRequest, clock: FakeClock) -> Iterator[FakeEvents]:
    yield FakeEvents(clock)


@contextmanager
def a_real_one(request: pytest.FixtureRequest, clock: FakeClock) -> Iterator[Kept]:
    with request.getfixturevalue(f"_fresh_{request.param[1]}")(request.getfixturevalue("tmp_path")) as url:
        database = Database(url)
        yield Kept(database, clock, request.getfixturevalue("keys"))
        database.close()


@pytest.fixture(
    params=[
        pytest.param((a_fake, ""), id="fake"),
        pytest.param((a_real_one, "sqlite"), id="sqlite"),
        pytest.param((a_real_one, "postgres"), id="postgres", marks=pytest.mark.postgres),
    ]
)
def events(request: pytest.FixtureRequest, clock: FakeClock) -> Iterator[Any]:
    """Everything that promises to be an EventReader: the fake, and the real log on both databases."""
    with request.param[0](request, clock) as log:
        yield log


def numbers(events: EventReader, names: tuple[str, ...] = ("Seen",), **more: Any) -> list[int]:
    return [event.payload["n"] for event in events.read(list(names), **more)]


# --- the reader's conformance suite: the fake passes it too ---


def test_events_come_back_whole(events: Any, clock: FakeClock) -> None:
    (event_id,) = events.append(seen(1))
    (event,) = events.read(["Seen"])
    assert (event.id, event.name, event.version, event.tenant_id, event.subject_id, event.purpose) == (
        event_id,
        "Seen",
        1,
        TENANT,
        ADA,
        "service",
    )
    assert event.payload == {"n": 1, "言葉": "猫"} and event.occurred_at == AT and event.recorded_at == clock.now()


def test_events_are_read_by_name_in_the_order_they_were_recorded(events: Any, clock: FakeClock) -> None:
    events.append(seen(1), seen(2), seen(9, name="Other"))
    clock.advance(1)
    events.append(seen(3, BOB))
    assert numbers(events) == [1, 2, 3]
    assert numbers(events, ("Seen", "Other")) == [1, 2, 9, 3]
    assert numbers(events, ()) == []


def test_since_is_inclusive_and_until_exclusive(events: Any, clock: FakeClock) -> None:
    for n in range(3):
        events.append(seen(n))
        clock.advance(60)
    first = datetime(2026, 6, 1, 12, tzinfo=UTC)
    assert numbers(events, since=first.replace(minute=1)) == [1, 2]
    assert numbers(events, until=first.replace(minute=1)) == [0]
    assert numbers(events, since=first.replace(minute=1), until=first.replace(minute=2)) == [1]


def test_one_tenant_is_never_read_for_another(events: Any) -> None:
    events.append(seen(1), seen(2, tenant=OTHER))
    assert numbers(events, tenant_id=TENANT) == [1]
    assert numbers(events, tenant_id=OTHER) == [2]


def test_a_person_who_refuses_improvement_is_still_served(events: Any) -> None:
    events.append(seen(1, ADA), seen(2, BOB), seen(3, None))
    events.set_consent(TENANT, ADA, "improve", False)
    assert numbers(events) == [2, 3]
    assert numbers(events, purpose="service") == [1, 2, 3]
    events.set_consent(TENANT, ADA, "improve", True)
    assert numbers(events) == [1, 2, 3]


def test_a_tenants_default_counts_where_a_person_said_nothing(events: Any) -> None:
    events.append(seen(1, ADA), seen(2, BOB), seen(3, None), seen(4, ADA, OTHER))
    events.set_consent(TENANT, None, "improve", False)
    events.set_consent(TENANT, BOB, "improve", True)
    assert numbers(events) == [2, 4]


def test_a_purpose_nobody_named_needs_a_yes(events: Any) -> None:
    events.append(seen(1, ADA), seen(2, BOB))
    assert numbers(events, purpose="advertising") == []
    events.set_consent(TENANT, BOB, "advertising", True)
    assert numbers(events, purpose="advertising") == [2]


def test_an_erased_person_is_gone_from_every_reading(events: Any) -> None:
    events.append(seen(1, ADA), seen(2, BOB), seen(3, ADA, OTHER))
    events.erase(TENANT, ADA)
    assert numbers(events) == [2, 3]
    assert numbers(events, purpose="service") == [2, 3]


# --- what only the real log promises ---


def test_the_skeleton_of_a_persons_events_is_the_same_before_and_after_they_are_erased(kept: Kept) -> None:
    ids = kept.append(seen(1, ADA), seen(2, BOB), seen(3, ADA), seen(4, ADA, OTHER))
    with kept.database.read() as connection:
        before = kept.log.skeleton(connection, TENANT, ADA)
    assert before.ids == {ids[0], ids[2]}
    kept.erase(TENANT, ADA)
    with kept.database.read() as connection:
        assert kept.log.skeleton(connection, TENANT, ADA) == before
        assert kept.log.skeleton(connection, TENANT, BOB).sha256 != before.sha256
        assert kept.log.skeleton(connection, OTHER, BOB).ids == frozenset()


def test_whoever_left_anything_is_known(kept: Kept) -> None:
    kept.append(seen(1, ADA))
    kept.set_consent(TENANT, BOB, "improve", False)
    kept.erase(TENANT, ADA)
    with kept.database.read() as connection:
        assert kept.log.is_known(connection, TENANT, ADA), "of the erased, the events"
        assert kept.log.is_known(connection, TENANT, BOB), "of others, even a word on consent"
        assert not kept.log.is_known(connection, OTHER, ADA)


def test_the_erased_of_whom_there_are_events_are_named_except_those_seen_before(kept: Kept) -> None:
    kept.append(seen(1, ADA), seen(2, BOB), seen(3, ADA, OTHER))
    with kept.database.read() as connection:
        assert kept.log.erased_owners(connection) == []
    kept.erase(TENANT, ADA)
    kept.erase(OTHER, ADA)
    with kept.database.read() as connection:
        assert kept.log.erased_owners(connection) == sorted([(TENANT, ADA), (OTHER, ADA)])
        before = frozenset({kept.log.tombstone(TENANT, ADA)})
        assert kept.log.erased_owners(connection, apart_from=before) == [(OTHER, ADA)]


def test_many_events_are_read_across_pages_without_loss(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "PAGE", 7)
    kept.append(*[seen(n, [ADA, BOB][n % 2]) for n in range(40)])
    assert numbers(kept) == list(range(40))


def test_several_names_are_merged_in_order_across_pages(
    kept: Kept, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "PAGE", 5)
    for n in range(0, 60, 3):
        kept.append(seen(n), seen(n + 1, name="Other"), seen(n + 2, BOB))
        clock.advance(n % 2)
    assert numbers(kept, ("Other", "Seen")) == list(range(60))  # type: ignore[arg-type]
    assert numbers(kept, ("Seen", "Seen"), tenant_id=OTHER) == []  # type: ignore[arg-type]


def test_a_key_is_remembered_for_its_owner_only(kept: Kept) -> None:
    kept.append(seen(1, ADA), seen(2, BOB))
    table = eventlog.keys_table
    with kept.database.transaction() as connection:
        adas = connection.scalars(sa.select(table.c.wrapped_key).where(table.c.subject_id == ADA)).one()
        connection.execute(table.update().where(table.c.subject_id == BOB).values(wrapped_key=adas))
    reading_on = kept.read(["Seen"])
    assert next(reading_on).payload["n"] == 1
    with pytest.raises(SetupNeeded):
        next(reading_on)


def test_who_is_erased_or_refuses_while_somebody_reads_is_not_in_the_next_page(
    kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "PAGE", 3)
    kept.append(*[seen(n, [ADA, BOB, None][n % 3]) for n in range(12)])
    reading_on = kept.read(["Seen"])
    first = [next(reading_on).payload["n"] for _ in range(3)]
    kept.erase(TENANT, ADA)
    kept.set_consent(TENANT, BOB, "improve", False)
    assert first == [0, 1, 2] and [event.payload["n"] for event in reading_on] == [5, 8, 11]


def test_what_was_just_recorded_is_in_the_next_reading(kept: Kept) -> None:
    counts = []
    for n in range(5):
        kept.append(seen(n))
        counts.append(len(numbers(kept)))  # type: ignore[arg-type]
    assert counts == [1, 2, 3, 4, 5]


def test_many_people_are_recorded_at_once_and_one_erased_among_them_stops_all(kept: Kept) -> None:
    people = [SubjectId(f"person-{n}") for n in range(1_200)]
    kept.append(*(seen(n, person) for n, person in enumerate(people)))
    kept.append(*(seen(n, person, OTHER) for n, person in enumerate(people[:700])))
    assert numbers(kept, tenant_id=TENANT) == list(range(1_200))  # type: ignore[arg-type]
    kept.erase(TENANT, people[1_000])
    with pytest.raises(ErasedSubject):
        kept.append(*(seen(n, person) for n, person in enumerate(people)))
    kept.append(*(seen(n, person, OTHER) for n, person in enumerate(people)))
    assert kept.log.count() == 1_200 + 700 + 1_200


def test_an_event_lives_or_dies_with_its_transaction(kept: Kept) -> None:
    with pytest.raises(RuntimeError), kept.database.transaction() as connection:
        kept.log.append(connection, seen(1))
        raise RuntimeError
    assert kept.log.count() == 0
    kept.append(seen(2))
    assert numbers(kept) == [2]


def test_counting_and_the_latest_events(kept: Kept, clock: FakeClock) -> None:
    for n in range(4):
        kept.append(seen(n, name=["Seen", "Other"][n % 2]))
        clock.advance(1)
    assert (kept.log.count(), kept.log.count("Other"), kept.log.count("Never")) == (4, 2, 0)
    assert [event.payload["n"] for event in kept.log.tail(3)] == [3, 2, 1]
    assert kept.log.tail(3, tenant_id=OTHER) == []


def test_the_database_alone_tells_nothing(kept: Kept, keys: Keys) -> None:
    kept.append(NewEvent("Seen", 1, TENANT, ADA, AT, "service", {"word": "confidential-word"}))
    with kept.database.read() as connection:
        sealed = connection.scalars(sa.select(eventlog.events_table.c.sealed)).one()
        wrapped = connection.scalars(sa.select(eventlog.keys_table.c.wrapped_key)).one()
    assert b"confidential-word" not in sealed
    assert keys.unwrap(TENANT, ADA, wrapped) not in wrapped


def test_each_person_has_a_key_of_their_own(kept: Kept) -> None:
    kept.append(seen(1, ADA), seen(2, BOB), seen(3, ADA), seen(4, None), seen(5, ADA, OTHER))
    with kept.database.read() as connection:
        owners = connection.execute(
            sa.select(eventlog.keys_table.c.tenant_id, eventlog.keys_table.c.subject_id)
        ).fetchall()
    assert {tuple(owner) for owner in owners} == {(TENANT, ADA), (TENANT, BOB), (TENANT, ""), (OTHER, ADA)}


def test_a_row_passed_off_as_another_persons_is_left_out(kept: Kept) -> None:
    kept.append(seen(1, ADA), seen(2, BOB))
    with kept.database.transaction() as connection:
        connection.execute(eventlog.events_table.update().values(subject_id=BOB))
    assert numbers(kept) == [2]


def test_a_damaged_row_does_not_stop_the_reading(kept: Kept) -> None:
    bad, _good = kept.append(seen(1), seen(2))
    with kept.database.transaction() as connection:
        table = eventlog.events_table
        connection.execute(table.update().where(table.c.id == bad).values(sealed=b"\x01 not what it was"))
    assert numbers(kept) == [2]


def test_another_master_key_is_named_as_the_fault(kept: Kept, clock: FakeClock, tmp_path: Path) -> None:
    kept.append(seen(1))
    stranger = Kept(kept.database, clock, Keys.open(tmp_path / "another"))
    with pytest.raises(SetupNeeded, match="master key"):
        numbers(stranger)
    with pytest.raises(SetupNeeded, match="master key"):
        stranger.append(seen(2))


def test_nothing_more_is_recorded_about_an_erased_person(kept: Kept) -> None:
    kept.append(seen(1))
    kept.erase(TENANT, ADA)
    with kept.database.transaction() as connection:
        with pytest.raises(ErasedSubject):
            kept.log.append(connection, seen(2, BOB), seen(3, ADA))
        kept.log.append(connection, seen(4, BOB))
    assert numbers(kept) == [4]


def test_erasing_twice_or_a_stranger_is_fine(kept: Kept) -> None:
    kept.erase(TENANT, ADA)
    kept.erase(TENANT, ADA)
    with pytest.raises(ErasedSubject):
        kept.append(seen(1))


def test_an_erasure_that_was_rolled_back_still_holds(kept: Kept) -> None:
    kept.append(seen(1, ADA), seen(2, BOB))
    with pytest.raises(RuntimeError), kept.database.transaction() as connection:
        kept.log.erase(connection, TENANT, ADA)
        raise RuntimeError
    assert numbers(kept) == [2]
    with kept.database.transaction() as connection:
        assert kept.log.reconcile(connection) == 1
    with kept.database.read() as connection:
        assert connection.scalars(sa.select(eventlog.keys_table.c.subject_id)).all() == [BOB]


def test_an_erasure_by_another_process_counts_at_once(kept: Kept, clock: FakeClock, home: Path) -> None:
    other_process = Kept(kept.database, clock, Keys.open(home / "keys"))
    kept.append(seen(1, ADA), seen(2, BOB))
    assert numbers(other_process) == [1, 2]
    kept.erase(TENANT, ADA)
    assert numbers(other_process) == [2]
    with pytest.raises(ErasedSubject):
        other_process.append(seen(3, ADA))


def test_a_restored_backup_does_not_bring_a_person_back(kept: Kept, clock: FakeClock, home: Path, keys: Keys) -> None:
    kept.append(seen(1, ADA), seen(2, BOB))
    with kept.database.read() as connection:
        backup = [dict(row) for row in connection.execute(sa.select(eventlog.keys_table)).mappings()]
    kept.erase(TENANT, ADA)
    with kept.database.transaction() as connection:  # the restore: every table as it was before
        for table in (eventlog.keys_table, eventlog.erasures_table):
            connection.execute(table.delete())
        connection.execute(eventlog.keys_table.insert(), backup)

    restored = Kept(kept.database, clock, Keys.open(home / "keys"))
    assert numbers(restored) == [2]
    with pytest.raises(ErasedSubject):
        restored.append(seen(3, ADA))
    with kept.database.transaction() as connection:
        assert restored.log.reconcile(connection) == 1
    with kept.database.read() as connection:
        left = connection.scalars(sa.select(eventlog.keys_table.c.subject_id)).all()
        assert left == [BOB] and connection.scalar(sa.select(sa.func.count(eventlog.erasures_table.c.tombstone))) == 1


def test_a_machine_that_joins_learns_who_was_erased(kept: Kept, clock: FakeClock, home: Path, tmp_path: Path) -> None:
    kept.erase(TENANT, ADA)
    shutil.copytree(home / "keys", tmp_path / "joined")
    (tmp_path / "joined" / "erased").unlink()
    joined = Kept(kept.database, clock, Keys.open(tmp_path / "joined"))
    with kept.database.transaction() as connection:
        assert joined.log.reconcile(connection) == 0
    assert Keys.open(tmp_path / "joined").buried() == Keys.open(home / "keys").buried() != frozenset()


def test_the_tombstone_names_nobody(kept: Kept, home: Path) -> None:
    person = SubjectId("yuki")  # "ada" may well stand in a hash
    kept.erase(TENANT, person)
    text = (home / "keys" / "erased").read_text()
    assert person not in text and TENANT not in text


def test_consent_can_be_asked_for(kept: Kept) -> None:
    kept.set_consent(TENANT, None, "improve", False)
    kept.set_consent(TENANT, ADA, "improve", True)
    with kept.database.read() as connection:
        answers = [
            kept.log.consents(connection, TENANT, ADA, "improve"),
            kept.log.consents(connection, TENANT, BOB, "improve"),
            kept.log.consents(connection, TENANT, None, "improve"),
            kept.log.consents(connection, OTHER, BOB, "improve"),
            kept.log.consents(connection, OTHER, BOB, "advertising"),
        ]
    assert answers == [True, False, False, True, False]


def test_the_master_key_is_private_and_made_once(home: Path) -> None:
    first = Keys.open(home / "keys")
    path = home / "keys" / "master.key"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert Keys.open(home / "keys").master == first.master
    assert [entry.name for entry in (home / "keys").iterdir()] == ["master.key"]


def test_a_damaged_master_key_is_refused(home: Path) -> None:
    (home / "keys").mkdir()
    (home / "keys" / "master.key").write_text("not a key")
    with pytest.raises(SetupNeeded, match="not a master key"):
        Keys.open(home / "keys")


@pytest.mark.parametrize(
    "sample", sorted((Path(__file__).parent / "samples").glob("event-*.json")), ids=lambda p: p.stem
)
def test_events_written_by_earlier_releases_are_still_read(
    kept: Kept, tmp_path: Path, clock: FakeClock, sample: Path
) -> None:
    frozen = json.loads(sample.read_text())
    keys = Keys(bytes.fromhex(frozen["master"]), tmp_path / "erased")
    row = frozen["row"] | {
        "sealed": bytes.fromhex(frozen["row"]["sealed"]),
        "occurred_at": datetime.fromisoformat(frozen["row"]["occurred_at"]),
        "recorded_at": datetime.fromisoformat(frozen["row"]["recorded_at"]),
    }
    with kept.database.transaction() as connection:
        connection.execute(eventlog.events_table.insert().values(row))
        connection.execute(
            eventlog.keys_table.insert().values(
                tenant_id=row["tenant_id"],
                subject_id=row["subject_id"],
                wrapped_key=bytes.fromhex(frozen["wrapped_key"]),
                created_at=AT,
            )
        )
    (event,) = EventLog(kept.database, clock, keys).reader().read([row["name"]])
    assert event.payload == frozen["payload"]


def test_the_store_and_its_migration_agree(differences: Callable[[sa.MetaData], list[Any]]) -> None:
    from ikkan.ground import jobs

    together = sa.MetaData()
    for table in [*eventlog.metadata.sorted_tables, *jobs.metadata.sorted_tables]:
        table.to_metadata(together)
    assert differences(together) == []


# --- the list of the erased, outside the home ---


def test_the_list_may_lie_elsewhere_and_takes_over_what_an_earlier_release_wrote(
    kept: Kept, clock: FakeClock, home: Path, tmp_path: Path
) -> None:
    kept.append(seen(1, ADA), seen(2, BOB))
    kept.erase(TENANT, ADA)  # to keys/erased, as earlier releases did
    outside = tmp_path / "erased"
    later = Kept(kept.database, clock, Keys.open(home / "keys", outside))
    assert outside.read_text() == (home / "keys" / "erased").read_text()
    later.erase(TENANT, BOB)
    assert len(outside.read_text().splitlines()) == 2
    (home / "keys" / "erased").unlink()
    assert numbers(Kept(kept.database, clock, Keys.open(home / "keys", outside))) == []
    assert stat.S_IMODE(outside.stat().st_mode) == 0o600


def test_half_a_line_loses_no_other(kept: Kept, home: Path, tmp_path: Path) -> None:
    outside = tmp_path / "erased"
    keys = Keys.open(home / "keys", outside)
    outside.write_text("a" * 64 + " 2026-06-01T00:00:00+00:00\n" + "b" * 30)
    keys.bury("c" * 64, AT)
    assert keys.buried() == {"a" * 64, "c" * 64}
    assert keys.learn(outside) == 0


def test_a_list_that_cannot_be_read_or_written_stops_everything(home: Path, tmp_path: Path) -> None:
    (tmp_path / "erased").mkdir()
    keys = Keys.open(home / "keys", tmp_path / "erased")
    with pytest.raises(SetupNeeded, match="cannot be read"):
        keys.buried()
    with pytest.raises(SetupNeeded, match="cannot be written"):
        keys.bury("a" * 64, AT)
    with pytest.raises(SetupNeeded, match="cannot be written"):
        Keys.open(home / "keys", tmp_path / "no" / "such" / "erased").bury("a" * 64, AT)


def test_a_list_of_absurd_size_is_not_ours(home: Path, tmp_path: Path) -> None:
    with (tmp_path / "erased").open("wb") as file:
        file.truncate(1 << 40)  # a hole: nothing is on disk
    with pytest.raises(SetupNeeded, match="not a list"):
        Keys.open(home / "keys", tmp_path / "erased").buried()


def test_an_erasure_that_cannot_be_written_down_erases_nothing(kept: Kept, clock: FakeClock, home: Path) -> None:
    kept.append(seen(1, ADA))
    unlucky = Kept(kept.database, clock, Keys.open(home / "keys", home / "no" / "such" / "erased"))
    with pytest.raises(SetupNeeded, match="IKKAN_ERASURES"):
        unlucky.erase(TENANT, ADA)
    assert numbers(unlucky) == [1]


def test_whoever_came_back_is_named(kept: Kept, clock: FakeClock, home: Path, tmp_path: Path) -> None:
    kept.append(seen(1, ADA), seen(2, BOB), seen(3, ADA, OTHER))
    kept.set_consent(TENANT, None, "improve", True)
    keys = Keys.open(home / "keys", tmp_path / "erased")
    for owner in ((TENANT, ADA), (TENANT, SubjectId("never seen"))):
        keys.bury(keys.tombstone(*owner), AT)
    log = EventLog(kept.database, clock, keys)
    with kept.database.transaction() as connection:
        assert log.returned(connection) == [(TENANT, ADA)]
        assert log.reconcile(connection) == 1
        assert log.returned(connection) == []


def test_the_hash_of_all_events_outlives_an_erasure_and_notices_a_change(kept: Kept) -> None:
    def digest() -> dict[str, Any]:
        with kept.database.read() as connection:
            return eventlog.digest(connection)

    assert digest() == {"events": 0, "sha256": hashlib.sha256().hexdigest()}
    kept.append(*[seen(n, [ADA, BOB][n % 2]) for n in range(1_200)])
    before = digest()
    assert before["events"] == 1_200 and before == digest()
    kept.erase(TENANT, ADA)
    assert digest() == before
    with kept.database.transaction() as connection:
        connection.execute(eventlog.events_table.update().values(purpose="other"))
    assert digest()["sha256"] != before["sha256"]
