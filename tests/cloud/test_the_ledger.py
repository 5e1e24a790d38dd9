"""The ledger: nothing is billed twice, nothing by halves, and everything adds up to zero."""

from __future__ import annotations

import uuid
from contextlib import nullcontext, suppress
from datetime import timedelta

import pytest
import sqlalchemy as sa
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from ikkan.cloud.keys import KeyHasher, create_key, get_key
from ikkan.cloud.ledger import Bill, Hold, Ledger, tenant_owner, totals
from ikkan.cloud.tables import ledger as ledger_table
from ikkan.cloud.tables import meter
from ikkan.cloud.tenants import ensure_tenant, list_tenants, set_limit
from ikkan.cloud.values import LOCAL_TENANT, Usage
from ikkan.ground.clock import FakeClock
from ikkan.ground.db import Database
from ikkan.ground.errors import QuotaExhausted
from ikkan.ground.ids import KeyId, RequestId

LIMIT = 1_000


class Crash(Exception):
    """The process dies before the transaction commits."""


def new_key(database: Database, clock: FakeClock, limit_micros: int | None = LIMIT) -> KeyId:
    with database.transaction() as connection:
        ensure_tenant(connection, LOCAL_TENANT, "local", clock.now())
        hasher = KeyHasher(b"m" * 32)
        made = create_key(connection, hasher, clock.now(), tenant_id=LOCAL_TENANT, name="k", budget_micros=limit_micros)
        return made.key.id


def hold(key_id: KeyId | None, request_id: str, amount: int, attempt: int = 1) -> Hold:
    return Hold(
        request_id=RequestId(request_id),
        attempt=attempt,
        tenant_id=LOCAL_TENANT,
        key_id=key_id,
        subject_id=None,
        endpoint="chat",
        model="m",
        upstream="u",
        upstream_model="m",
        amount_micros=amount,
    )


class Life(RuleBasedStateMachine):
    """A key's life: requests come, end, end twice, are swept, and processes die in the middle of each."""

    requests: Bundle[str] = Bundle("requests")
    amounts = st.sampled_from([0, 1, 250, 600, 1_000, 1_001])

    def __init__(self, database: Database, clock: FakeClock) -> None:
        super().__init__()
        self.database = database
        self.books = Ledger(clock)
        self.key_id = new_key(database, clock)
        self.held: dict[str, int] = {}
        self.spent = 0

    @rule(target=requests, amount=amounts)
    def reserve(self, amount: int) -> str:
        name = f"chatcmpl-{uuid.uuid4()}"
        fits = sum(self.held.values()) + self.spent + amount <= LIMIT
        with {True: nullcontext(), False: pytest.raises(QuotaExhausted)}[fits]:
            with self.database.transaction() as connection:
                self.books.reserve(connection, hold(self.key_id, name, amount))
            self.held[name] = amount
        return name

    @rule(name=requests, amount=amounts)
    def settle(self, name: str, amount: int) -> None:
        cost = min(amount, self.held.get(name, 0))
        with self.database.transaction() as connection:
            done = self.books.settle(connection, RequestId(name), 1, Bill("served", Usage(3, 0, 2), cost))
        assert done == (name in self.held)
        self.spent += cost
        self.held.pop(name, None)

    @rule(name=requests)
    def release(self, name: str) -> None:
        with self.database.transaction() as connection:
            done = self.books.release(connection, RequestId(name), 1, Bill("upstream_failed"))
        assert done == (name in self.held)
        self.held.pop(name, None)

    @rule()
    def sweep(self) -> None:
        with self.database.transaction() as connection:
            assert self.books.sweep(connection) == len(self.held)
        self.held.clear()

    @rule(name=requests)
    def crash_while_settling(self, name: str) -> None:
        with suppress(Crash), self.database.transaction() as connection:
            self.books.settle(connection, RequestId(name), 1, Bill("served", Usage(3, 0, 2), 0))
            raise Crash

    @rule()
    def crash_while_reserving(self) -> None:
        with suppress(Crash, QuotaExhausted), self.database.transaction() as connection:
            self.books.reserve(connection, hold(self.key_id, f"chatcmpl-{uuid.uuid4()}", 250))
            raise Crash

    @rule()
    def crash_while_sweeping(self) -> None:
        with suppress(Crash), self.database.transaction() as connection:
            self.books.sweep(connection)
            raise Crash

    @invariant()
    def the_budget_is_what_was_promised(self) -> None:
        with self.database.read() as connection:
            key = get_key(connection, self.key_id)
        assert (key.held_micros, key.spent_micros) == (sum(self.held.values()), self.spent)
        assert key.held_micros + key.spent_micros <= LIMIT

    def teardown(self) -> None:
        with self.database.transaction() as connection:
            self.books.sweep(connection)
        with self.database.read() as connection:
            audit = self.books.audit(connection)
            assert audit.is_sound, audit
            assert connection.execute(sa.select(sa.func.sum(ledger_table.c.amount_micros))).scalar() in (0, None)


def test_whatever_happens_in_whatever_order_the_ledger_adds_up(database: Database, clock: FakeClock) -> None:
    run_state_machine_as_test(  # type: ignore[no-untyped-call]
        lambda: Life(database, clock), settings=settings(max_examples=25, stateful_step_count=25, deadline=None)
    )


def test_an_attempt_is_billed_once_however_often_it_ends(database: Database, clock: FakeClock) -> None:
    books, key_id = Ledger(clock), new_key(database, clock)
    with database.transaction() as connection:
        books.reserve(connection, hold(key_id, "r", 500))
    ends = []
    for _ in range(3):
        with database.transaction() as connection:
            ends.append(books.settle(connection, RequestId("r"), 1, Bill("served", Usage(1, 0, 1), 100)))
    assert ends == [True, False, False]
    with database.read() as connection:
        key = get_key(connection, key_id)
        kinds = connection.execute(sa.select(ledger_table.c.kind, ledger_table.c.amount_micros)).all()
        assert books.audit(connection).is_sound
    assert (key.held_micros, key.spent_micros) == (0, 100)
    assert sorted(kinds) == sorted(
        [("hold", 500), ("hold", -500), ("release", -500), ("release", 500), ("charge", 100), ("charge", -100)]
    )


def test_a_request_is_reserved_once(database: Database, clock: FakeClock) -> None:
    books, key_id = Ledger(clock), new_key(database, clock)
    with database.transaction() as connection:
        books.reserve(connection, hold(key_id, "r", 100))
    with pytest.raises(sa.exc.IntegrityError), database.transaction() as connection:
        books.reserve(connection, hold(key_id, "r", 100))
    with database.read() as connection:
        assert get_key(connection, key_id).held_micros == 100


def test_a_sweep_leaves_what_is_still_being_answered(database: Database, clock: FakeClock) -> None:
    books, key_id = Ledger(clock), new_key(database, clock)
    with database.transaction() as connection:
        books.reserve(connection, hold(key_id, "old", 100))
    clock.advance(7_200)
    with database.transaction() as connection:
        books.reserve(connection, hold(key_id, "new", 100))
        assert books.sweep(connection, before=clock.now() - timedelta(hours=1)) == 1
    with database.read() as connection:
        states = {row.request_id: row.state for row in connection.execute(sa.select(meter))}
        assert states == {"old": "released", "new": "reserved"}
        assert get_key(connection, key_id).held_micros == 100
        assert books.audit(connection).is_sound


def test_a_bill_that_arrives_after_the_sweep_changes_nothing(database: Database, clock: FakeClock) -> None:
    books, key_id = Ledger(clock), new_key(database, clock)
    with database.transaction() as connection:
        books.reserve(connection, hold(key_id, "r", 100))
    with database.transaction() as connection:
        books.sweep(connection)
    with database.transaction() as connection:
        assert not books.settle(connection, RequestId("r"), 1, Bill("served", Usage(1, 0, 1), 100))
    with database.read() as connection:
        assert get_key(connection, key_id).spent_micros == 0


def test_an_audit_finds_what_was_tampered_with(database: Database, clock: FakeClock) -> None:
    books, key_id = Ledger(clock), new_key(database, clock)
    with database.transaction() as connection:
        books.reserve(connection, hold(key_id, "r", 100))
        books.settle(connection, RequestId("r"), 1, Bill("served", Usage(1, 0, 1), 50))
    with database.transaction() as connection:
        here = sa.and_(ledger_table.c.kind == "charge", ledger_table.c.side == "debit")
        connection.execute(ledger_table.delete().where(here))
    with database.read() as connection:
        audit = books.audit(connection)
    assert audit.unbalanced == ["r/1 charge"] and audit.unpaired == ["r/1 settled"] and audit.drifted


def test_the_organisations_budget_counts_beside_the_keys(database: Database, clock: FakeClock) -> None:
    books, first, second = Ledger(clock), new_key(database, clock), new_key(database, clock, None)
    with database.transaction() as connection:
        set_limit(connection, tenant_owner(LOCAL_TENANT), 1_200)
        assert books.reserve(connection, hold(first, "a", 900))
        assert books.reserve(connection, hold(second, "b", 300)), "a limit of the organisation is one too"
    with pytest.raises(QuotaExhausted, match="your organisation's"), database.transaction() as connection:
        books.reserve(connection, hold(second, "c", 1))
    with database.read() as connection:
        (tenant,) = list_tenants(connection)
    assert (tenant.held_micros, tenant.limit_micros) == (1_200, 1_200)


def test_totals_name_every_yen_and_notice_one_that_moved(database: Database, clock: FakeClock) -> None:
    books, key_id = Ledger(clock), new_key(database, clock)
    with database.read() as connection:
        assert totals(connection)["entries"] == 0
    with database.transaction() as connection:
        books.reserve(connection, hold(key_id, "r1", 300))
        books.settle(connection, RequestId("r1"), 1, Bill("served", Usage(3, 0, 2), 120))
    with database.read() as connection:
        before = totals(connection)
    # The hold and its release are a debit each, of who pays and of the clearing account; the charge is one more.
    assert (before["entries"], before["debits_micros"]) == (6, {"JPY": 300 + 300 + 120})
    with database.transaction() as connection:
        mine = ledger_table.c.account == f"spent:key:{key_id}"
        connection.execute(ledger_table.update().where(mine).values(account="spent:key:another"))
    with database.read() as connection:
        after = totals(connection)
    assert after["debits_micros"] == before["debits_micros"] and after != before
