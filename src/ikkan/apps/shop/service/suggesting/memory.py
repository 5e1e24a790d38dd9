"""Shops and people in memory, exactly as the tables have them: filled on demand, moved on by each event, bounded."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from datetime import datetime, timedelta

import numpy as np
import sqlalchemy as sa

from ikkan.apps.shop import store
from ikkan.apps.shop.rules.suggest.person import Listed, Person
from ikkan.apps.shop.rules.suggest.ring import LENGTH
from ikkan.apps.shop.rules.suggest.world import World
from ikkan.apps.shop.store.behaviour import Exposure, Row
from ikkan.ground.ids import SubjectId, TenantId

PEOPLE_BYTES = 128 * 2**20
"""People in memory take at most this; who was away longest goes first and is read again when they come."""
COUNTED = 100_000
"""So many of a shop's latest events are counted again when it is opened: a second or two."""
_LISTS = 40
_LEARNED, _LEARNED_LISTS = timedelta(days=30), 5_000
"""The explorer learns again from so many of the latest lists when a shop is opened."""
_CLICKS = ("viewed", "carted", "bought")
_STALE_S = 60.0
"""A person is read again after this, should another process have forgotten them."""
_CHECKED_S, _CHECKED_MOST = 40.0, 250
"""Before that, their events are counted, many people at once; whoever has as many as in memory is not read again."""
PATIENCE_S = 0.002
"""An event loop waits so long for a shop that a thread has in hand."""
_UNSETTLED_S = 10.0
"""So long after something was written in somebody else's transaction, the person is read anew each time."""


class Shop:
    """One shop. `lock` guards everything in it."""

    def __init__(self, tenant_id: TenantId, world: World) -> None:
        self.tenant_id = tenant_id
        self.world = world
        self.lock = threading.RLock()
        self.seq = 0
        """Events up to this number are counted."""
        self.shelf_version = 0
        self.rules_stamp = (0, 0)
        self.people: OrderedDict[SubjectId, Person] = OrderedDict()
        self.read_at: dict[SubjectId, float] = {}
        """Whoever was read longest ago comes first."""
        self.unsettled: dict[SubjectId, float] = {}
        self.bytes = 0
        self.is_settling = False
        self._loading = threading.Lock()
        self._sizes: dict[SubjectId, int] = {}
        self._asked: set[SubjectId] = set()
        """Who was asked for since they were read or checked."""

    def open(self, connection: sa.Connection, now: datetime) -> None:
        """Read wares, rules and the latest events."""
        self.shelf_version = store.shelf.version(connection, self.tenant_id)
        self.world.put(store.shelf.wares(connection, self.tenant_id))
        self.rules_stamp = store.behaviour.rules_stamp(connection, self.tenant_id)
        self.world.follow(store.behaviour.rules(connection, self.tenant_id))
        self.seq = store.behaviour.last_seq(connection)
        clicked: set[tuple[str, str]] = set()
        for row in store.behaviour.latest(connection, self.tenant_id, self.seq, COUNTED):
            self.world.happened(row.subject_id, row.event)
            if row.event.impression_id is not None and row.event.deed in _CLICKS:
                clicked.add((row.event.impression_id, row.event.product_id or ""))
        self._learn_again(connection, now, clicked)

    def _learn_again(self, connection: sa.Connection, now: datetime, clicked: set[tuple[str, str]]) -> None:
        """What the explorer was told, and how often new wares were shown, out of the latest lists."""
        shown = store.behaviour.shown_between(connection, self.tenant_id, now - _LEARNED, now, _LEARNED_LISTS)
        world = self.world
        for each in shown:
            for product, *_ in each.places:
                row = world.shelf.row_of.get(product)
                if row is not None:
                    world.shelf.exposures[row] += 1
            for pool in each.pools:
                segment, x = world.explorer.of(each.surface, pool.bucket), pool.features[pool.chosen(each)]
                segment.shown(np.asarray(x))
                if (each.impression_id, each.places[pool.place][0]) in clicked:
                    segment.clicked(np.asarray(x))

    def look(self, connection: sa.Connection) -> None:
        """Take in what others changed of shelf and rules."""
        version = store.shelf.version(connection, self.tenant_id)
        if version != self.shelf_version:
            changed = store.shelf.changed_since(connection, self.tenant_id, self.shelf_version)
            with self.lock:
                self.world.put(changed)
                self.shelf_version = version
        self._check(connection)
        stamp = store.behaviour.rules_stamp(connection, self.tenant_id)
        if stamp != self.rules_stamp:
            rules = store.behaviour.rules(connection, self.tenant_id)
            with self.lock:
                self.world.follow(rules)
                self.rules_stamp = stamp

    def apply(self, rows: Iterable[Row]) -> None:
        """Count events, and let those who are in memory know of theirs."""
        with self.lock:
            for row in rows:
                if row.seq <= self.seq:
                    continue
                at = self.world.happened(row.subject_id, row.event)
                person = self.people.get(row.subject_id)
                if person is not None:
                    person.happened(row.event, at)
                    self._click(person, row, at)
                self.seq = row.seq

    def person(self, reads: Callable[[], AbstractContextManager[sa.Connection]], subject_id: SubjectId) -> Person:
        """A person as the tables have them."""
        with self.lock:
            person = self.people.get(subject_id)
            self._asked.add(subject_id)
            if person is not None and self._is_settled(subject_id):
                self.people.move_to_end(subject_id)
                self._measure(person)
                return person
        with self._loading:
            return self._loaded(reads, subject_id)

    def fetch(self, reads: Callable[[], AbstractContextManager[sa.Connection]], subject_id: SubjectId) -> bool:
        """Bring a person into memory without waiting for anybody; False where one would have to."""
        if not self._loading.acquire(blocking=False):
            return False
        try:
            if not self.lock.acquire(timeout=PATIENCE_S):
                return False
            try:
                self._loaded(reads, subject_id)
                return True
            finally:
                self.lock.release()
        finally:
            self._loading.release()

    def _loaded(self, reads: Callable[[], AbstractContextManager[sa.Connection]], subject_id: SubjectId) -> Person:
        """A person, read from the tables; `_loading` is held."""
        person = Person(subject_id)
        with self.lock:  # from here on it hears of new events; those that are read again are known by their id
            before = self.people.get(subject_id)
            if before is not None and subject_id not in self.unsettled:
                # Lists of the last moments may not be written yet, and know what was explored.
                for listed in before.lists:
                    person.was_shown(listed)
            self.people[subject_id] = person
            self.people.move_to_end(subject_id)
        with reads() as connection:
            shown = store.behaviour.shown_to(connection, self.tenant_id, subject_id, _LISTS)
            events = store.behaviour.of_person(connection, self.tenant_id, subject_id, LENGTH)
        with self.lock:
            for each in shown:
                person.was_shown(self._listed(each))
            for row in events:
                product = row.event.product_id
                person.happened(row.event, None if product is None else self.world.shelf.row_of.get(product))
            self.read_at.pop(subject_id, None)
            self.read_at[subject_id] = time.monotonic()
            self._measure(person)
            self._make_room()
        return person

    def at_hand(self, subject_id: SubjectId) -> bool:
        """Whether this person is in memory as the tables have them. Waits for nobody: an event loop asks."""
        self._asked.add(subject_id)
        return subject_id in self.people and self._is_settled(subject_id)

    def known(self, subject_id: SubjectId) -> Person | None:
        """Who was read a moment ago, without asking again."""
        return self.people.get(subject_id)

    def _check(self, connection: sa.Connection) -> None:
        """Count the events of those who will be stale soon, so that nobody has to wait for being read again.

        `connection` sees a moment whose events were applied already.
        """
        with self.lock:
            now = time.monotonic()
            due: list[SubjectId] = []
            for subject_id, read_at in self.read_at.items():
                if now - read_at < _CHECKED_S or len(due) >= _CHECKED_MOST:
                    break
                due.append(subject_id)
            for subject_id in due:
                del self.read_at[subject_id]  # who is not checked below is read when they come
            due = [each for each in due if each in self._asked and 0 < len(self.people[each].ring.events) < LENGTH]
            self._asked.difference_update(due)
        if not due:
            return
        counted = store.behaviour.counts(connection, self.tenant_id, due)
        with self.lock:
            for subject_id in due:
                person = self.people.get(subject_id)
                if person is not None and counted.get(subject_id) == len(person.ring.events):
                    self.read_at[subject_id] = now

    def forget(self, subject_id: SubjectId) -> None:
        """Read this person anew whenever they come, for a while: something about them changes just now."""
        with self.lock:
            self.unsettled[subject_id] = time.monotonic() + _UNSETTLED_S

    def _is_settled(self, subject_id: SubjectId) -> bool:
        now = time.monotonic()
        until = self.unsettled.get(subject_id)
        if until is not None:
            if now >= until:
                self.unsettled.pop(subject_id, None)
            return False
        return now - self.read_at.get(subject_id, -_STALE_S) < _STALE_S

    def _measure(self, person: Person) -> None:
        size = person.bytes
        self.bytes += size - self._sizes.get(SubjectId(person.subject_id), 0)
        self._sizes[SubjectId(person.subject_id)] = size

    def _make_room(self) -> None:
        while self.bytes > PEOPLE_BYTES and len(self.people) > 1:
            subject_id, _ = self.people.popitem(last=False)
            self.bytes -= self._sizes.pop(subject_id, 0)
            self.read_at.pop(subject_id, None)
            self.unsettled.pop(subject_id, None)
            self._asked.discard(subject_id)

    def _click(self, person: Person, row: Row, at: int | None) -> None:
        """Tell the explorer when an explored place was clicked."""
        if at is None or row.event.deed not in _CLICKS:
            return
        for listed in reversed(person.lists):
            if row.event.impression_id not in (None, listed.impression_id):
                continue
            for explored, (segment, x) in listed.explored:
                if explored == at:
                    segment.clicked(x)
                    return

    def _listed(self, shown: Exposure) -> Listed:
        rows = self.world.shelf.rows([product for product, *_ in shown.places])
        return Listed(shown.impression_id, shown.surface, shown.at.timestamp(), tuple(rows))


def opened(tenant_id: TenantId, connection: sa.Connection, world: World, now: datetime) -> Shop:
    """A shop with everything the tables have of it."""
    shop = Shop(tenant_id, world)
    shop.open(connection, now)
    return shop
