"""What every room's tests may ask for: a home, a clock, settings, and a migrated database of each kind."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext

from ikkan.ground.clock import FakeClock
from ikkan.ground.db import Database, upgrade
from ikkan.ground.settings import GIB, Machine, Settings, load_settings
from ikkan.silicon.device import cache_key

HOUSE = Path(__file__).parents[1]

# Compiled kernels are kept between runs in a folder named after their source; numba reads this when it is imported.
_SOURCES = cache_key(HOUSE / "src" / "ikkan" / "models" / "families")
os.environ["NUMBA_CACHE_DIR"] = str(HOUSE / ".cache" / "numba" / _SOURCES)

# Torch reads it when it is loaded; threads that wait actively starve whatever else a test has running.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """An empty IKKAN_HOME."""
    folder = tmp_path / "home"
    folder.mkdir()
    return folder


@pytest.fixture
def clock() -> FakeClock:
    """A clock that stands at noon of 1 June 2026 until it is moved."""
    return FakeClock(datetime(2026, 6, 1, 12, tzinfo=UTC))


@pytest.fixture
def settings(home: Path) -> Settings:
    """A laptop's settings in `home`, the same on every machine."""
    machine = Machine(cores=2, cores_reason="test", memory_bytes=8 * GIB, memory_reason="test")
    return load_settings({"IKKAN_HOME": str(home)}, machine=machine)


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The address of a fresh database, migrated to head: once a SQLite file, once a PostgreSQL database."""
    make: Callable[[Path], Any] = request.getfixturevalue(f"_fresh_{request.param}")
    with make(tmp_path) as url:
        yield url


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """A fresh database, migrated to head: once SQLite, once PostgreSQL."""
    opened = Database(database_url)
    yield opened
    opened.close()


@pytest.fixture
def differences(database: Database) -> Callable[[sa.MetaData], list[Any]]:
    """What a store's `metadata` and the migrated tables of its room disagree about; `[]` when they agree.

    def test_the_store_and_its_migration_agree(differences): assert differences(store.metadata) == []
    """

    def compare(metadata: sa.MetaData) -> list[Any]:
        rooms = {name.partition("_")[0] for name in metadata.tables}
        assert len(rooms) == 1, f"a store's tables start with its room's name: {sorted(metadata.tables)}"
        (room,) = rooms

        def ours(item: Any, name: str | None, kind: str, reflected: bool, compare_to: Any) -> bool:
            return kind != "table" or (name or "").startswith(f"{room}_")

        def same_type(context: Any, inspected: Any, column: Any, found: Any, declared: Any) -> bool | None:
            # Reflected types say DATETIME / TIMESTAMP WITH TIME ZONE; the decorator is the same column.
            return False if isinstance(found, sa.DateTime) and isinstance(declared, sa.types.TypeDecorator) else None

        with database.read() as connection:
            context = MigrationContext.configure(
                connection, opts={"include_object": ours, "compare_type": same_type, "compare_server_default": False}
            )
            return list(compare_metadata(context, metadata))

    return compare


@pytest.fixture(scope="session")
def _fresh_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path], Any]:
    template = tmp_path_factory.mktemp("template") / "ikkan.db"
    upgrade(f"sqlite:///{template}")

    @contextmanager
    def fresh(tmp_path: Path) -> Iterator[str]:
        path = tmp_path / "ikkan.db"
        shutil.copyfile(template, path)
        yield f"sqlite:///{path}"

    return fresh


@pytest.fixture(scope="session")
def _fresh_postgres(_postgres_server: sa.URL) -> Iterator[Callable[[Path], Any]]:
    admin = sa.create_engine(_postgres_server, isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.exec_driver_sql("CREATE DATABASE template_ikkan")
    upgrade(_postgres_server.set(database="template_ikkan").render_as_string(hide_password=False))
    names = iter(f"test_{number}" for number in range(1_000_000))

    @contextmanager
    def fresh(tmp_path: Path) -> Iterator[str]:
        name = next(names)
        with admin.connect() as connection:
            connection.exec_driver_sql(f"CREATE DATABASE {name} TEMPLATE template_ikkan")
        yield _postgres_server.set(database=name).render_as_string(hide_password=False)
        with admin.connect() as connection:
            connection.exec_driver_sql(f"DROP DATABASE {name} WITH (FORCE)")

    yield fresh
    admin.dispose()


@pytest.fixture(scope="session")
def _postgres_server() -> Iterator[sa.URL]:
    """A PostgreSQL server of our own: a socket in a private folder, no network, gone at the end."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda path: int(path.parts[-3]))
    on_path = shutil.which("postgres")
    if not found and not on_path:
        pytest.skip("no PostgreSQL server on this machine: apt-get install postgresql (make setup does)")
    pytest.importorskip("psycopg", reason="the PostgreSQL driver is missing: pip install 'ikkan[postgres]'")
    binaries = found[-1].parent if found else Path(str(on_path)).parent

    folder = Path(tempfile.mkdtemp(prefix="ikkan-pg-"))  # short: a socket's path has at most 107 characters
    owner = _unprivileged()
    as_owner: dict[str, Any] = {"cwd": folder, "env": {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"}}
    if owner is not None:  # PostgreSQL refuses to run as root
        os.chown(folder, owner.pw_uid, owner.pw_gid)
        as_owner |= {"user": owner.pw_uid, "group": owner.pw_gid, "extra_groups": []}
    data = folder / "data"
    subprocess.run(
        [binaries / "initdb", "-D", data, "-U", "ikkan", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"],
        check=True,
        capture_output=True,
        **as_owner,
    )
    options = {
        "listen_addresses": "",
        "unix_socket_directories": str(folder),
        "fsync": "off",
        "synchronous_commit": "off",
        "full_page_writes": "off",
        "autovacuum": "off",
        "max_connections": "60",
        "shared_buffers": "32MB",
        "dynamic_shared_memory_type": "mmap",
    }
    arguments = [word for name, value in options.items() for word in ("-c", f"{name}={value}")]
    with (folder / "server.log").open("wb") as server_log:
        server = subprocess.Popen(
            [binaries / "postgres", "-D", data, *arguments],
            stdout=server_log,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            **as_owner,
        )
    # If this test run is killed outright, the pipe closes and the watcher ends the server and its folder.
    watcher = subprocess.Popen(
        [sys.executable, "-S", "-c", _WATCH, str(server.pid), str(folder)], stdin=subprocess.PIPE
    )
    url = sa.URL.create("postgresql+psycopg", "ikkan", database="postgres", query={"host": str(folder)})
    try:
        _wait_until_it_answers(url, server, folder / "server.log")
        yield url
    finally:
        server.terminate()  # a smart shutdown would wait for pooled connections of a failed test
        try:
            server.wait(5)
        except subprocess.TimeoutExpired:
            os.kill(server.pid, 3)  # SIGQUIT: at once
            server.wait(30)
        assert watcher.stdin is not None
        watcher.stdin.close()
        watcher.wait(30)


_WATCH = """
import os, shutil, signal, sys
sys.stdin.buffer.read()
try:
    os.kill(int(sys.argv[1]), signal.SIGQUIT)
except ProcessLookupError:
    pass
shutil.rmtree(sys.argv[2], ignore_errors=True)
"""


def _unprivileged() -> pwd.struct_passwd | None:
    if os.geteuid() != 0:
        return None
    known = {user.pw_name: user for user in pwd.getpwall()}
    return known.get("postgres") or known["nobody"]


def _wait_until_it_answers(url: sa.URL, server: subprocess.Popen[bytes], server_log: Path) -> None:
    engine = sa.create_engine(url)
    for _attempt in range(600):
        try:
            engine.connect().close()
            break
        except sa.exc.OperationalError:
            assert server.poll() is None, f"PostgreSQL did not start:\n{server_log.read_text()}"
            time.sleep(0.1)
    else:
        raise AssertionError(f"PostgreSQL did not answer:\n{server_log.read_text()}")
    engine.dispose()
