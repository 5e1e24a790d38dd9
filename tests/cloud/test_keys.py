"""Keys: shown once, kept as a hash, and gone everywhere within a second of being revoked."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa

from ikkan.cloud import freshness as freshness_module
from ikkan.cloud.assembly import Cloud, assemble
from ikkan.cloud.freshness import Freshness
from ikkan.cloud.keys import KeyHasher
from ikkan.cloud.tables import keys as keys_table
from ikkan.cloud.tables import metadata
from ikkan.ground.clock import FakeClock
from ikkan.ground.db import Database
from ikkan.ground.errors import BadInput, NotAuthenticated, NotFound
from ikkan.ground.eventlog import EventLog, Keys
from ikkan.ground.ids import KeyId, SubjectId, TenantId


def everything(database: Database) -> dict[str, list[Any]]:
    with database.read() as connection:
        return {name: list(connection.execute(sa.select(table))) for name, table in metadata.tables.items()}


def test_the_secret_is_shown_once_and_kept_nowhere(cloud: Cloud, database: Database) -> None:
    made = cloud.service.create_key("laptop", scopes=("user", "admin"), budget_micros=5, subject_id=SubjectId("s-1"))
    assert made.secret.startswith(f"sk-ik-{made.key.id}-") and len(made.secret) > 40
    with database.read() as connection:
        (row,) = connection.execute(sa.select(keys_table))
    assert made.secret.encode() not in row.secret_hash and made.secret.rpartition("-")[2] not in str(row)
    (listed,) = cloud.service.keys()
    assert listed == made.key
    assert (listed.name, listed.scopes, listed.limit_micros) == ("laptop", {"user", "admin"}, 5)


def test_signing_in_asks_the_database(cloud: Cloud) -> None:
    made = cloud.service.create_key("k", scopes=("admin",))
    assert cloud.service.authenticate(made.secret).is_admin
    cloud.service.revoke_key(made.key.id)
    for wrong in (made.secret, "sk-ik-nobody-x", "password"):
        with pytest.raises(NotAuthenticated):
            cloud.service.authenticate(wrong)


async def test_a_key_says_who_asks(cloud: Cloud) -> None:
    cloud.service.create_tenant("acme", "Acme")
    made = cloud.service.create_key("k", tenant_id=TenantId("acme"), subject_id=SubjectId("s-1"))
    principal = await cloud.freshness.authenticate(made.secret)
    assert (principal.tenant_id, principal.key_id, principal.subject_id) == ("acme", made.key.id, "s-1")
    assert not principal.is_admin


@pytest.mark.parametrize(
    "wrong",
    [
        "sk-ik-",
        "sk-ik-abc",
        "sk-ik-abcdefghijkl-" + "a" * 32,
        "sk-ik-abcdefghijkl-",
        "sk-ik-" + "a" * 500,
        "sk-ik-ünï-cödé",
        "sk-ik-%00-x",
        "sk-proj-123",
        "",
    ],
)
async def test_what_is_no_key_opens_nothing_and_writes_nothing(cloud: Cloud, database: Database, wrong: str) -> None:
    before = everything(database)
    with pytest.raises(NotAuthenticated):
        await cloud.freshness.authenticate(wrong)
    assert everything(database) == before


async def test_another_secret_under_a_known_id_opens_nothing(cloud: Cloud) -> None:
    made = cloud.service.create_key("k")
    for wrong in (made.secret[:-1], made.secret + "a", made.secret[:-1] + "0"):
        with pytest.raises(NotAuthenticated):
            await cloud.freshness.authenticate(wrong)
    assert (await cloud.freshness.authenticate(made.secret)).key_id == made.key.id


async def test_a_key_revoked_by_another_process_stops_within_a_second(
    cloud: Cloud, database: Database, clock: FakeClock, events: EventLog, keys: Keys
) -> None:
    now = [100.0]
    gateway = Freshness(database, KeyHasher(keys.master), monotonic=lambda: now[0])
    made = cloud.service.create_key("k")
    assert (await gateway.authenticate(made.secret)).key_id == made.key.id
    elsewhere = assemble(database, clock, events, keys)
    elsewhere.service.revoke_key(made.key.id)
    now[0] += freshness_module.POLL_S + 0.001
    assert freshness_module.POLL_S < 1.0
    with pytest.raises(NotAuthenticated):
        await gateway.authenticate(made.secret)


async def test_a_key_made_by_another_process_opens_after_it_was_refused(
    cloud: Cloud, database: Database, keys: Keys, clock: FakeClock
) -> None:
    now = [100.0]
    gateway = Freshness(database, KeyHasher(keys.master), monotonic=lambda: now[0])
    with pytest.raises(NotAuthenticated):
        await gateway.authenticate("sk-ik-abcdefghijkl-secret")
    made = cloud.service.create_key("k")
    now[0] += 1.0
    assert (await gateway.authenticate(made.secret)).key_id == made.key.id


async def test_a_known_key_costs_no_look_at_the_database(cloud: Cloud, database: Database, keys: Keys) -> None:
    now = [100.0]
    gateway = Freshness(database, KeyHasher(keys.master), monotonic=lambda: now[0])
    made = cloud.service.create_key("k")
    await gateway.authenticate(made.secret)
    database.close()
    looked: list[str] = []
    sa.event.listen(database._reader, "begin", lambda connection: looked.append("look"))
    for _ in range(10):
        await gateway.authenticate(made.secret)
    assert looked == []


async def test_a_flood_of_unknown_keys_is_remembered_within_bounds(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(freshness_module, "_MAX_KEYS", 10)
    for number in range(50):
        with pytest.raises(NotAuthenticated):
            await cloud.freshness.authenticate(f"sk-ik-key{number}-x")
    assert len(cloud.freshness._keys) <= 10


def test_revoking_twice_keeps_the_first_time(cloud: Cloud, clock: FakeClock) -> None:
    made = cloud.service.create_key("k")
    first = cloud.service.revoke_key(made.key.id)
    clock.advance(60)
    assert cloud.service.revoke_key(made.key.id) == first
    assert first.is_revoked and first.revoked_at is not None


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"name": " "}, BadInput),
        ({"name": "x" * 201}, BadInput),
        ({"scopes": ()}, BadInput),
        ({"scopes": ("root",)}, BadInput),
        ({"budget_micros": -1}, BadInput),
        ({"tenant_id": TenantId("nobody")}, NotFound),
    ],
)
def test_a_key_that_cannot_be_is_refused(cloud: Cloud, fields: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        cloud.service.create_key(**({"name": "k"} | fields))
    assert cloud.service.keys() == []


def test_a_key_nobody_has_cannot_be_revoked(cloud: Cloud) -> None:
    with pytest.raises(NotFound):
        cloud.service.revoke_key(KeyId("nobody"))


async def test_a_hash_is_worth_nothing_in_another_installation(cloud: Cloud, database: Database) -> None:
    made = cloud.service.create_key("k")
    with pytest.raises(NotAuthenticated):
        await Freshness(database, KeyHasher(b"another master key of 32 bytes!!")).authenticate(made.secret)
