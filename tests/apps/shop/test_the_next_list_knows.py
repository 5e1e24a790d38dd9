"""What somebody does is kept, once, and the very next list knows it."""

from __future__ import annotations

import subprocess
import sys
import threading
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from ikkan.apps.shop import store
from ikkan.apps.shop.rules.suggest.ring import LENGTH
from ikkan.apps.shop.service.replay import SHOP
from ikkan.apps.shop.service.suggesting import memory
from ikkan.apps.shop.service.suggesting.intake import Intake
from ikkan.apps.shop.service.suggesting.trailing import HAPPENED
from ikkan.apps.shop.store.behaviour import Row
from ikkan.apps.shop.values import Ask, Happened, MerchantRule
from ikkan.ground.clock import FakeClock
from ikkan.ground.db import Database, upgrade
from ikkan.ground.errors import BadInput, NotFound, RateLimited
from ikkan.ground.eventlog import EventLog, Keys
from ikkan.ground.ids import SubjectId, TenantId

from .conftest import Suggester, a_ware, pseudonym, suggester


def test_a_view_changes_the_next_list_on_both_databases(database: Database, clock: FakeClock, tmp_path: Path) -> None:
    service = suggester(database, clock, tmp_path)
    service.put_wares(SHOP, [a_ware(number) for number in range(40)])
    before = service.ids("ada")
    service.did("ada", "viewed", "w2")
    after = service.ids("ada")
    assert after != before and "w2" not in after
    assert sum(int(each[1:]) % 4 == 2 for each in after) >= 3, "more of what they looked at"
    # Another process tells and puts; this one notices.
    other = suggester(database, clock, tmp_path)
    other.did("ada", "disliked", after[0])
    other.put_wares(SHOP, [a_ware(90, category="Tools > Saws")])
    service._looked_at = -1e9  # as if a moment had passed
    assert "w90" in service.ids("ada") and after[0] not in service.ids("ada")
    service.put_rule(SHOP, MerchantRule("no-saws", "bury", category="Tools"))
    assert not [each for each in service.ids("ada") if int(each[1:]) % 4 == 2]
    service.drop_rule(SHOP, "no-saws")
    assert service.rules(SHOP) == []
    service.flush()


def test_an_event_told_twice_is_told_once(shop: Suggester) -> None:
    assert shop.did("ada", "viewed", "w1", "w2").accepted == 2
    again = shop.did("ada", "viewed", "w1", "w2", "w3")
    assert (again.accepted, again.repeated) == (1, 2)
    twice = [Happened("x", "ada", "viewed", shop.clock.now(), "w1")] * 2
    told = shop.tell(SHOP, twice)
    assert (told.accepted, told.repeated) == (1, 1)
    assert len(shop.history(SHOP, "ada")) == 4


def test_what_is_wrong_is_said_by_place_and_the_rest_is_kept(shop: Suggester) -> None:
    now = shop.clock.now()
    told = shop.tell(
        SHOP,
        [
            Happened("a", "ada", "viewed", now, "w1"),
            Happened("b", "ada", "viewed", now),
            Happened("c", "ada", "smelled", now, "w1"),  # type: ignore[arg-type]
            Happened("d", "ada", "searched", now, query="saw"),
            Happened("e", "ada", "viewed", now.replace(tzinfo=None), "w1"),
            Happened("f", "ada", "bought", now, "w1", quantity=0),
            Happened("", "ada", "bought", now, "w1"),
            Happened("g", "ada", "viewed", now, "w1", dwell_s=float("nan")),
        ],
    )
    assert told.accepted == 2 and [at for at, _ in told.refused] == [1, 2, 4, 5, 6, 7]


def test_a_late_event_takes_its_place_and_a_future_one_is_not_believed(shop: Suggester, clock: FakeClock) -> None:
    shop.ids("ada")
    shop.did("ada", "viewed", "w1")
    shop.did("ada", "viewed", "w2", ago_s=3600)
    ahead = clock.now() + timedelta(days=2)
    shop.tell(SHOP, [Happened("future", "ada", "viewed", ahead, "w3")])
    assert [each.product_id for each in shop.history(SHOP, "ada")] == ["w2", "w1", "w3"]
    assert shop.history(SHOP, "ada")[-1].at == clock.now()
    shop.flush()
    with shop.database.read() as connection:
        (row,) = store.behaviour.of_person(connection, SHOP, pseudonym(SHOP, "ada"), 1)
    assert row.told_us == store.behaviour.micros(ahead), "what was told is kept beside it"
    clock.advance(10)
    assert "w3" not in shop.ids("ada")


def test_the_ring_is_bounded_and_the_same_after_a_restart(shop: Suggester, clock: FakeClock, tmp_path: Path) -> None:
    shop.ids("ada")
    events = [
        Happened(f"e{at}", "ada", "viewed", clock.now() - timedelta(minutes=300 - at), f"w{at % 40}")
        for at in range(LENGTH + 30)
    ]
    shop.tell(SHOP, events)
    alive = shop._shops[SHOP].people[pseudonym(SHOP, "ada")].ring.events
    again = suggester(shop.database, clock, tmp_path)
    again.suggest(SHOP, Ask("ada", is_test=True))
    read = again._shops[SHOP].people[pseudonym(SHOP, "ada")].ring.events
    assert len(alive) == LENGTH and [each.event_id for each in alive] == [each.event_id for each in read]


def test_people_in_memory_take_bounded_room(shop: Suggester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "PEOPLE_BYTES", 30_000)
    for number in range(40):
        shop.did(f"p{number}", "viewed", "w1", "w2", "w3")
        shop.suggest(SHOP, Ask(f"p{number}", is_test=True))
    kept = shop._shops[SHOP]
    assert kept.bytes <= 30_000 and 2 <= len(kept.people) < 20
    assert "w1" not in shop.ids("p0"), "who was dropped is read again"


def test_another_shop_has_other_people_wares_and_lists(shop: Suggester) -> None:
    elsewhere = TenantId("another")
    shop.did("ada", "viewed", "w1")
    shown = shop.suggest(SHOP, Ask("ada"))
    assert shop.suggest(elsewhere, Ask("ada", product_ids=("w1",), surface="similar")).places == ()
    assert shop.history(elsewhere, "ada") == []
    told = Happened("x", "ada", "viewed", shop.clock.now(), "w1", impression_id=shown.impression_id)
    assert shop.tell(elsewhere, [told]).accepted == 1
    assert len(shop.history(SHOP, "ada")) == 1
    with pytest.raises(NotFound):
        shop.drop_rule(elsewhere, "none")


def test_a_full_queue_says_when_to_come_again() -> None:
    begun, go_on = threading.Event(), threading.Event()

    def slow(rows: Any) -> list[bool]:
        begun.set()
        go_on.wait(10)
        return [True] * len(rows)

    intake = Intake(slow, waiting_most=4)
    row = Row(SHOP, SubjectId("ada"), Happened("e", "ada", "viewed", FakeClock.now, "w1"))  # type: ignore[arg-type]
    first = threading.Thread(target=intake.take, args=([row] * 3,))
    first.start()
    begun.wait(10)
    with pytest.raises(RateLimited) as refused:
        intake.take([row] * 2)
    assert refused.value.facts["retry_after_s"] == 1
    second = threading.Thread(target=intake.take, args=([row],))
    second.start()
    go_on.set()
    first.join(10)
    second.join(10)
    assert intake.waiting == 0


def test_an_error_while_writing_reaches_everybody_who_waited() -> None:
    def broken(rows: Any) -> list[bool]:
        raise BadInput("no")

    intake = Intake(broken)
    for _ in range(2):
        with pytest.raises(BadInput):
            intake.take([])
    assert intake.waiting == 0


def test_a_burst_reaches_the_event_log_once_each(shop: Suggester) -> None:
    shop.did("ada", "viewed", "w1")
    now = shop.clock.now()
    shop.tell(SHOP, [Happened(f"b{at}", f"p{at % 9}", "viewed", now, "w2") for at in range(300)])
    shop.did("ada", "viewed", "w3")
    shop.flush()
    log = EventLog(shop.database, shop.clock, shop_keys(shop))
    told = [event.payload["event_id"] for event in log.reader().read([HAPPENED], tenant_id=SHOP)]
    assert sorted(told) == sorted(["ada-viewed-w1-0.0", "ada-viewed-w3-0.0", *(f"b{at}" for at in range(300))])


def test_what_is_told_within_a_transaction_is_seen_once_it_is_committed(shop: Suggester) -> None:
    before = shop.ids("ada")
    event = Happened("x", "ada", "returned", shop.clock.now(), before[0])
    with pytest.raises(RuntimeError), shop.database.transaction() as connection:
        shop.tell(SHOP, [event], connection=connection)
        raise RuntimeError("given up")
    assert shop.ids("ada") == before
    with shop.database.transaction() as connection:
        shop.tell(SHOP, [event], connection=connection)
    assert before[0] not in shop.ids("ada")
    with shop.database.transaction() as connection:
        shop.untell(SHOP, ["x"], connection=connection)
    assert shop.ids("ada") == before


def test_an_erased_person_is_a_stranger(shop: Suggester) -> None:
    stranger = shop.ids("eve")
    shop.did("ada", "viewed", "w1", "w5", "w9")
    assert shop.ids("ada") != stranger
    shop.flush()
    with shop.database.transaction() as connection:
        assert shop.erase(connection, SHOP, pseudonym(SHOP, "ada")) >= 4
    assert shop.history(SHOP, "ada") == []
    assert "w1" in shop.ids("ada", n=40), "what they looked at is nobody's any more"


def test_nothing_acknowledged_is_lost_when_the_teller_is_killed(tmp_path: Path) -> None:
    upgrade(f"sqlite:///{tmp_path}/ikkan.db")
    teller = subprocess.Popen(
        [sys.executable, "-c", _TELL, str(tmp_path)], stdout=subprocess.PIPE, cwd=Path(__file__).parents[3]
    )
    assert teller.stdout is not None
    said = [teller.stdout.readline().decode().strip() for _ in range(400)]
    teller.kill()
    said += [line.decode().strip() for line in teller.stdout.read().splitlines(True) if line.endswith(b"\n")]
    teller.wait()
    teller.stdout.close()
    database = Database(f"sqlite:///{tmp_path}/ikkan.db")
    with database.read() as connection:
        assert store.behaviour.known(connection, SHOP, said) == set(said)
    database.close()


def shop_keys(service: Suggester) -> Keys:
    return Keys.open(Path(service.database.url.removeprefix("sqlite:///")).parent / "keys")


_TELL = """
import sys
from ikkan.apps.shop.service.replay import SHOP
from ikkan.apps.shop.service.suggesting import Suggesting
from ikkan.apps.shop.values import Happened
from ikkan.ground.clock import SystemClock
from ikkan.ground.db import Database
clock = SystemClock()
service = Suggesting(Database(f"sqlite:///{sys.argv[1]}/ikkan.db"), clock, pseudonym=lambda _, person: person)
for turn in range(100_000):
    ids = [f"{turn}-{at}" for at in range(20)]
    service.tell(SHOP, [Happened(id, "ada", "viewed", clock.now(), "w1") for id in ids])
    print("\\n".join(ids), flush=True)
"""
