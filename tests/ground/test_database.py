"""A database keeps what it acknowledged, refuses what would lie, and is the same on both dialects."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from ikkan.ground.db import Database, UtcDateTime, is_current, upgrade
from ikkan.ground.errors import DatabaseUnready, UnknownSetting

metadata = sa.MetaData()
moments = sa.Table("moments", metadata, sa.Column("n", sa.Integer, primary_key=True), sa.Column("at", UtcDateTime))


@pytest.fixture
def table(database: Database) -> Database:
    with database.transaction() as connection:
        metadata.create_all(connection)
    return database


def test_a_fresh_database_is_current(database_url: str) -> None:
    assert is_current(database_url)
    upgrade(database_url)
    assert is_current(database_url)


def test_an_absent_or_empty_database_is_not_current(tmp_path: Path) -> None:
    assert not is_current(f"sqlite:///{tmp_path}/none.db")
    Database(f"sqlite:///{tmp_path}/empty.db").close()
    assert not is_current(f"sqlite:///{tmp_path}/empty.db")


def test_an_upgrade_makes_the_folder_and_the_tables(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/a 100% new folder/ikkan.db"
    upgrade(url)
    assert is_current(url)


def test_processes_that_upgrade_at_once_all_succeed(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/ikkan.db"
    script = f"from ikkan.ground.db import upgrade; upgrade({url!r})"
    running = [subprocess.Popen([sys.executable, "-c", script]) for _ in range(3)]
    assert [process.wait(60) for process in running] == [0, 0, 0]
    assert is_current(url)


def test_a_database_of_a_newer_ikkan_is_refused(database: Database, database_url: str) -> None:
    with database.transaction() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999_future'")
    with pytest.raises(DatabaseUnready, match="another version"):
        upgrade(database_url)
    assert not is_current(database_url)


@pytest.mark.parametrize("zone", [UTC, timezone(timedelta(hours=9))])
def test_time_comes_back_as_aware_utc_to_the_microsecond(table: Database, zone: timezone) -> None:
    at = datetime(2026, 3, 4, 5, 6, 7, 890123, tzinfo=zone)
    with table.transaction() as connection:
        connection.execute(moments.insert().values(n=1, at=at))
        connection.execute(moments.insert().values(n=2, at=None))
    with table.read() as connection:
        back = connection.scalars(sa.select(moments.c.at).order_by(moments.c.n)).all()
    assert back == [at, None] and back[0] is not None and back[0].utcoffset() == timedelta(0)


def test_time_compares_as_time(table: Database) -> None:
    noon = datetime(2026, 3, 4, 12, tzinfo=UTC)
    with table.transaction() as connection:
        connection.execute(moments.insert(), [{"n": n, "at": noon + timedelta(microseconds=n)} for n in range(5)])
    with table.read() as connection:
        later = connection.scalars(
            sa.select(moments.c.n).where(moments.c.at > noon + timedelta(microseconds=2)).order_by(moments.c.at)
        ).all()
    assert later == [3, 4]


def test_a_naive_time_is_a_fault_of_ours(table: Database) -> None:
    with pytest.raises(sa.exc.StatementError, match="aware UTC"), table.transaction() as connection:
        connection.execute(moments.insert().values(n=1, at=datetime(2026, 1, 1)))  # noqa: DTZ001


def test_a_transaction_that_raises_leaves_nothing(table: Database) -> None:
    with pytest.raises(RuntimeError), table.transaction() as connection:
        connection.execute(moments.insert().values(n=1))
        raise RuntimeError
    with table.read() as connection:
        assert connection.scalar(sa.select(sa.func.count()).select_from(moments)) == 0


def test_a_read_connection_cannot_write(table: Database) -> None:
    with pytest.raises((DatabaseUnready, sa.exc.SQLAlchemyError)), table.read() as connection:
        connection.execute(moments.insert().values(n=1))


def test_a_reader_sees_one_moment_and_does_not_wait_for_the_writer(table: Database) -> None:
    count = sa.select(sa.func.count()).select_from(moments)
    with table.read() as before:
        assert before.scalar(count) == 0
        with table.transaction() as connection:
            connection.execute(moments.insert().values(n=1))
        assert before.scalar(count) == 0
    with table.read() as after:
        assert after.scalar(count) == 1


def test_a_transaction_inside_a_transaction_is_caught_at_once(table: Database) -> None:
    with pytest.raises(AssertionError, match="pass the connection down"), table.transaction(), table.transaction():
        pass
    with table.transaction() as connection:
        connection.execute(moments.insert().values(n=1))


def test_writers_in_many_threads_take_turns(table: Database) -> None:
    with table.transaction() as connection:
        connection.execute(moments.insert().values(n=0))

    def add_ten() -> None:
        for _ in range(10):
            with table.transaction() as connection:
                connection.execute(moments.update().values(n=moments.c.n + 1))

    threads = [threading.Thread(target=add_ten) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with table.read() as connection:
        assert connection.scalar(sa.select(moments.c.n)) == 40


def test_what_was_acknowledged_survives_a_kill(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/ikkan.db"
    script = f"""
from ikkan.ground.db import Database
database = Database({url!r})
with database.transaction() as connection:
    connection.exec_driver_sql("CREATE TABLE told (n INTEGER)")
n = 0
while True:
    n += 1
    with database.transaction() as connection:
        connection.exec_driver_sql("INSERT INTO told VALUES (?)", (n,))
    print(n, flush=True)
"""
    writer = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert writer.stdout is not None
    for _ in range(50):
        writer.stdout.readline()
    writer.kill()
    acknowledged = [50, *(int(line) for line in writer.stdout.read().split("\n")[:-1])][-1]
    writer.wait()
    writer.stdout.close()
    database = Database(url)
    with database.read() as connection:
        kept = connection.exec_driver_sql("SELECT count(*), max(n) FROM told").one()
    database.close()
    assert kept[0] == kept[1] >= acknowledged


async def test_run_leaves_the_event_loop_and_brings_the_result_back(table: Database) -> None:
    def insert(n: int, *, caller: int) -> bool:
        with table.transaction() as connection:
            connection.execute(moments.insert().values(n=n))
        return threading.get_ident() != caller

    assert await table.run(insert, 1, caller=threading.get_ident())


def test_a_table_that_is_missing_says_how_to_prepare_it(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/empty.db")
    with pytest.raises(DatabaseUnready) as caught, database.read() as connection:
        connection.exec_driver_sql("SELECT * FROM ground_events")
    database.close()
    assert "ikkan up" in caught.value.hint


@pytest.mark.parametrize("url", ["nonsense", "mysql://h/d", "sqlite://", "postgresql+psycopg://host"])
def test_an_address_that_cannot_be_used_is_refused_without_echoing_it(url: str) -> None:
    with pytest.raises(UnknownSetting) as caught:
        Database(url)
    assert "postgresql+psycopg://" in caught.value.hint


def test_an_unreachable_server_is_named_without_its_password() -> None:
    database = Database("postgresql+psycopg://ada:secret@127.0.0.1:9/ikkan?connect_timeout=2")
    with pytest.raises(DatabaseUnready) as caught, database.read():
        pass
    assert "secret" not in str(caught.value) and "127.0.0.1" in caught.value.message


def test_foreign_keys_are_enforced(database: Database) -> None:
    with database.transaction() as connection:
        connection.exec_driver_sql("CREATE TABLE parent (id INTEGER PRIMARY KEY)")
        connection.exec_driver_sql("CREATE TABLE child (parent_id INTEGER REFERENCES parent (id))")
    with pytest.raises(sa.exc.IntegrityError), database.transaction() as connection:
        connection.exec_driver_sql("INSERT INTO child VALUES (1)")


def test_a_store_that_disagrees_with_its_migration_is_found(differences: Callable[[sa.MetaData], list[Any]]) -> None:
    wrong = sa.MetaData()
    sa.Table("ground_erasures", wrong, sa.Column("tombstone", sa.String(64), primary_key=True))
    assert any("erased_at" in str(difference) for difference in differences(wrong))
