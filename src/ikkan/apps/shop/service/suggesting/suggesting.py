"""The service: tell what happened, ask what to show, look after the shelf and the merchant's rules."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, TypeAlias

import numpy as np
import sqlalchemy as sa

from ikkan.apps.shop import store
from ikkan.apps.shop.rules.suggest import telling
from ikkan.apps.shop.rules.suggest.choose import chosen
from ikkan.apps.shop.rules.suggest.hooks import Encodes, Explains, KnowsMoods, Steers
from ikkan.apps.shop.rules.suggest.pairs import Together
from ikkan.apps.shop.rules.suggest.person import Listed, Person
from ikkan.apps.shop.rules.suggest.places import Place, Wanted
from ikkan.apps.shop.rules.suggest.ranker import Ranker
from ikkan.apps.shop.rules.suggest.reasons import reasons_of
from ikkan.apps.shop.rules.suggest.shelf import Shelf
from ikkan.apps.shop.rules.suggest.world import World
from ikkan.apps.shop.service.suggesting.intake import GROUP, Intake
from ikkan.apps.shop.service.suggesting.memory import PATIENCE_S, Shop, opened
from ikkan.apps.shop.service.suggesting.reporting import report
from ikkan.apps.shop.service.suggesting.serving import Models
from ikkan.apps.shop.service.suggesting.showing import Pending, Showing
from ikkan.apps.shop.service.suggesting.trailing import Trailing
from ikkan.apps.shop.store.behaviour import Exposure, Pool, Row
from ikkan.apps.shop.values import (
    Ask,
    Happened,
    MerchantRule,
    Mood,
    Report,
    Suggested,
    Suggestions,
    Told,
    Ware,
)
from ikkan.ground.clock import Clock
from ikkan.ground.db import Database
from ikkan.ground.errors import BadInput, DatabaseUnready, NotFound
from ikkan.ground.eventlog import EventLog
from ikkan.ground.ids import SubjectId, TenantId, new_id

log = logging.getLogger(__name__)

Pseudonym: TypeAlias = Callable[[TenantId, str], SubjectId]
_MODEL_S = 2.0
_BUSY_S = 0.5
"""So long after a list was asked for, others may be: what can wait takes little."""
_LOOK_S = 0.2
"""So often a request looks whether another process changed something."""
_PAGE = 5_000
_FORCED_S = 10.0


class Suggesting:
    """Suggestions of every shop in this house.

    Args:
        events: where what was shown and done is recorded for learning; None records nothing.
        pseudonym: of a person's id; by it they are known here.
        moods, steer, explain: what others add; none of it is needed.
        models: says now and then which model serves from now on, if that changed; None: nobody does.
        together: makes a counter of what is looked at together, from seconds since 1970; None: our plain one.
    """

    def __init__(
        self,
        database: Database,
        clock: Clock,
        *,
        events: EventLog | None = None,
        pseudonym: Pseudonym,
        moods: KnowsMoods | None = None,
        steer: Steers | None = None,
        explain: Explains | None = None,
        together: Callable[[float], Together] | None = None,
        models: Models | None = None,
    ) -> None:
        self.database = database
        self.clock = clock
        self.pseudonym = pseudonym
        self.moods, self.steer, self.explain = moods, steer, explain
        self._together = together
        self._shops: dict[TenantId, Shop] = {}
        self._opening = threading.Lock()
        self._following = threading.Lock()
        self._seq = -1
        """Events up to this number were given to the shops in memory."""
        self._looked_at = 0.0
        self._is_looking = False
        self._forced_until = 0.0
        self._intake = Intake(self._keep)
        self._showing = Showing(database, events)
        self._trailing = None if events is None else Trailing(database, events, self._is_busy)
        self._model: tuple[str, Encodes | None, Ranker | None] | None = None
        self._models = models
        self._listed_at = float("-inf")
        self._asked_at = float("-inf")
        self._asking = threading.Lock()

    # ---- what happened -----------------------------------------------------------------------------------------------

    def tell(self, tenant_id: TenantId, events: Sequence[Happened], *, connection: sa.Connection | None = None) -> Told:
        """Keep what happened: durable when this returns, seen by the next list, told twice is told once.

        Args:
            connection: keep it within this transaction; it is seen once that is committed.

        Raises:
            RateLimited: too many events wait already; none of these was kept from where it was raised on.
        """
        now = self.clock.now()
        refused: list[tuple[int, str]] = []
        rows: list[Row] = []
        for at, event in enumerate(events):
            wrong = telling.wrong_with(event)
            if wrong is not None:
                refused.append((at, wrong))
                continue
            subject = self.pseudonym(tenant_id, event.person)
            believed = telling.believed(event, now)
            told_us = None if believed is event else store.behaviour.micros(event.at)
            rows.append(Row(tenant_id, subject, replace(believed, person=subject), told_us))
        if connection is not None:
            fresh = self._keep_within(connection, rows, now)
        else:
            fresh = [each for at in range(0, len(rows), GROUP) for each in self._intake.take(rows[at : at + GROUP])]
        accepted = sum(fresh)
        return Told(accepted, len(rows) - accepted, tuple(refused))

    def untell(self, tenant_id: TenantId, event_ids: Sequence[str], *, connection: sa.Connection) -> None:
        """Take events back within a transaction, as when the return they told of is undone."""
        for subject in store.behaviour.take_back(connection, tenant_id, event_ids):
            self._unsettle(tenant_id, SubjectId(subject))

    def history(self, tenant_id: TenantId, person: str, limit: int = 50) -> Sequence[Happened]:
        """What a person did, the latest last; `person` in it is the pseudonym."""
        subject = self.pseudonym(tenant_id, person)
        with self.database.read() as connection:
            return [row.event for row in store.behaviour.of_person(connection, tenant_id, subject, limit)]

    def erase(self, connection: sa.Connection, tenant_id: TenantId, subject_id: SubjectId) -> int:
        """Remove a person from the shop's tables and from memory; returns the rows removed."""
        gone = store.forget(connection, tenant_id, subject_id)
        self._unsettle(tenant_id, subject_id)
        return gone

    # ---- what to show ------------------------------------------------------------------------------------------------

    def suggest(self, tenant_id: TenantId, ask: Ask, *, reasons: bool = True) -> Suggestions:
        """What to show this person here and now."""
        return self.suggest_many(tenant_id, [ask], reasons=reasons)[0]

    def suggest_many(self, tenant_id: TenantId, asks: Sequence[Ask], *, reasons: bool = True) -> list[Suggestions]:
        """Lists for several asks at once: the shelf is read from memory once for all of them."""
        began = time.perf_counter()
        shop = self._shop(tenant_id)
        self._look()
        people = [shop.person(self.database.read, self.pseudonym(tenant_id, ask.person)) for ask in asks]
        with shop.lock:
            return self._chosen(shop, asks, people, reasons, began)

    def at_hand(self, tenant_id: TenantId, ask: Ask) -> bool:
        """Whether everything this list is made of is in memory, as fresh as it has to be.

        A look at what others changed is taken in good time, by a thread; so while lists are asked for nobody waits.
        """
        shop = self._shops.get(tenant_id)
        age_s = time.monotonic() - self._looked_at
        if shop is None or not self._has_looked():
            return False
        if age_s >= 0.75 * _LOOK_S and not self._is_looking:
            self._is_looking = True
            threading.Thread(target=self._look_ahead, name="shop-looking", daemon=True).start()
        if not shop.at_hand(self.pseudonym(tenant_id, ask.person)):
            return False
        return self.moods is None or not ask.use_mood or self.moods.at_hand(tenant_id, ask.person)

    def _has_looked(self) -> bool:
        now = time.monotonic()
        return now - self._looked_at < _LOOK_S and now > self._forced_until

    def fetch_at_once(self, tenant_id: TenantId, ask: Ask) -> bool:
        """`fetch`, where handing it to a thread would take longer: a person out of a file; False where it would not."""
        shop = self._shops.get(tenant_id)
        if shop is None or self.database.dialect != "sqlite" or not self._has_looked():
            return False
        if self.moods is not None and ask.use_mood and not self.moods.at_hand(tenant_id, ask.person):
            return False
        return shop.fetch(self.database.read, self.pseudonym(tenant_id, ask.person))

    def fetch(self, tenant_id: TenantId, ask: Ask) -> None:
        """Bring into memory what a list is made of."""
        shop = self._shop(tenant_id)
        self._look()
        shop.person(self.database.read, self.pseudonym(tenant_id, ask.person))
        if self.moods is not None and ask.use_mood:
            self.moods.fetch(tenant_id, ask.person)

    def suggest_at_once(
        self, tenant_id: TenantId, asks: Sequence[Ask], *, reasons: bool = True
    ) -> list[Suggestions] | None:
        """Lists out of what is in memory, without waiting for the database or a thread; None where that cannot be.

        It cannot where somebody was not fetched, where a large shelf is not in cells yet, and while the
        shop is taken in hand by another thread, as when a model comes or an import does.
        """
        shop = self._shops.get(tenant_id)
        if shop is None or not shop.world.near.is_quick or self._showing.is_full:
            return None
        began = time.perf_counter()
        if not shop.lock.acquire(timeout=PATIENCE_S):
            return None
        try:
            people = [shop.known(self.pseudonym(tenant_id, ask.person)) for ask in asks]
            known = [person for person in people if person is not None]
            return self._chosen(shop, asks, known, reasons, began) if len(known) == len(asks) else None
        finally:
            shop.lock.release()

    def _chosen(
        self, shop: Shop, asks: Sequence[Ask], people: Sequence[Person], reasons: bool, began: float
    ) -> list[Suggestions]:
        """The lists; `shop.lock` is held."""
        self._listed_at = time.monotonic()
        now = self.clock.now()
        moods = [self._mood(shop, ask, person.ring.events, now) for ask, person in zip(asks, people, strict=True)]
        made = chosen(shop.world, list(zip(asks, people, moods, strict=True)), now, steer=self.steer)
        lists = [self._listed(shop, wanted, places, now, reasons) for wanted, places in made]
        pending = [each for _, each in lists if each is not None]
        if pending:
            self._showing.add(pending)
        took_ms = (time.perf_counter() - began) * 1e3
        return [replace(suggestions, took_ms=took_ms) for suggestions, _ in lists]

    def flush(self) -> None:
        """Write what was shown, and bring the event log up to date."""
        self._showing.flush()
        if self._trailing is not None:
            self._trailing.catch_up()

    def use(self, model: Encodes | None, name: str = "", ranker: Ranker | None = None) -> None:
        """Score with this model and this blend from now on, in every shop; None: without one, by the defaults."""
        self._model = (name, model, ranker)
        for shop in list(self._shops.values()):
            with shop.lock:
                shop.world.use(model, name, ranker)
            self._settle(shop)

    # ---- shelf and rules ---------------------------------------------------------------------------------------------

    def shelf(self, tenant_id: TenantId) -> Shelf:
        """The wares of a shop, in memory."""
        shop = self._shop(tenant_id)
        self._look()
        return shop.world.shelf

    def put_wares(self, tenant_id: TenantId, wares: Sequence[Ware]) -> int:
        """Put wares on the shelf, or replace them; the next list may have them."""
        with self.database.transaction() as connection:
            count = store.shelf.put_wares(connection, tenant_id, wares)
        self._look(force=True)
        return count

    def remove_ware(self, tenant_id: TenantId, product_id: str) -> bool:
        """Take a ware from the shelf; False where it was not on it."""
        with self.database.transaction() as connection:
            was_there = store.shelf.remove_ware(connection, tenant_id, product_id)
        self._look(force=True)
        return was_there

    def rules(self, tenant_id: TenantId) -> Sequence[MerchantRule]:
        """The merchant's rules, by id."""
        with self.database.read() as connection:
            return store.behaviour.rules(connection, tenant_id)

    def put_rule(self, tenant_id: TenantId, rule: MerchantRule) -> None:
        """Add a rule, or replace the one of this id; the next list keeps to it.

        Raises:
            BadInput: the rule does not say what it is about.
        """
        wrong = _wrong_with(rule)
        if wrong is not None:
            raise BadInput(
                f"this rule cannot be kept: {wrong}", hint="see MerchantRule in openapi.json", param=rule.kind
            )
        with self.database.transaction() as connection:
            store.behaviour.put_rule(connection, tenant_id, rule, self.clock.now())
        self._look(force=True)

    def drop_rule(self, tenant_id: TenantId, rule_id: str) -> None:
        """Drop a rule.

        Raises:
            NotFound: there is none of this id.
        """
        with self.database.transaction() as connection:
            was_there = store.behaviour.drop_rule(connection, tenant_id, rule_id, self.clock.now())
        if not was_there:
            raise NotFound(f"there is no rule {rule_id!r}", hint="GET /a/shop/v1/rules lists them")
        self._look(force=True)

    def report(self, tenant_id: TenantId, since: datetime) -> Report:
        """What suggestions did since then, with intervals."""
        self._showing.flush()
        shop = self._shop(tenant_id)
        with self.database.read() as connection:
            return report(connection, tenant_id, shop, since, self.clock.now())

    # ---- private: what happened --------------------------------------------------------------------------------------

    def _look_ahead(self) -> None:
        try:
            self._look(force=True)
        except DatabaseUnready:
            log.exception("what others changed could not be looked at; whoever asks next is told")
        finally:
            self._is_looking = False

    def _keep(self, rows: Sequence[Row]) -> list[bool]:
        """Write rows of several tellers in one transaction, and give them to the shops in memory."""
        now = self.clock.now()
        with self.database.transaction() as connection:
            fresh, kept, before, after = self._append(connection, rows, now)
        if kept:
            if after - before == len(kept):
                kept = [replace(row, seq=before + 1 + at) for at, row in enumerate(kept)]
                self._give(kept, before, after)
            else:
                self._look(force=True)
        return fresh

    def _keep_within(self, connection: sa.Connection, rows: Sequence[Row], now: datetime) -> list[bool]:
        fresh, kept, _, _ = self._append(connection, rows, now)
        if kept:
            # Until the caller's commit nobody sees them; from then on the next list must.
            self._forced_until = time.monotonic() + _FORCED_S
        return fresh

    def _append(
        self, connection: sa.Connection, rows: Sequence[Row], now: datetime
    ) -> tuple[list[bool], list[Row], int, int]:
        store.behaviour.lock(connection)
        known: set[tuple[str, str]] = set()
        for tenant_id in {row.tenant_id for row in rows}:
            ids = [row.event.event_id for row in rows if row.tenant_id == tenant_id]
            known |= {(tenant_id, each) for each in store.behaviour.known(connection, tenant_id, ids)}
        fresh, kept = [], []
        for row in rows:
            key = (row.tenant_id, row.event.event_id)
            fresh.append(key not in known)
            if fresh[-1]:
                known.add(key)
                kept.append(row)
        before = store.behaviour.last_seq(connection)
        store.behaviour.append(connection, kept, now)
        after = store.behaviour.last_seq(connection) if kept else before
        if kept and self._trailing is not None and not self._trailing.inline(connection, kept, before, after):
            self._trailing.start()
        return fresh, kept, before, after

    def _is_busy(self) -> bool:
        return self._intake.waiting > 0 or time.monotonic() - self._listed_at < _BUSY_S

    def _give(self, rows: Sequence[Row], before: int, after: int) -> None:
        """Rows that were just committed, to the shops in memory: not read again, if nothing came between."""
        with self._following:
            if self._seq == before:
                self._apply(rows)
                self._seq = after
                return
        self._look(force=True)

    def _apply(self, rows: Sequence[Row]) -> None:
        of: dict[TenantId, list[Row]] = {}
        for row in rows:
            if row.tenant_id in self._shops:
                of.setdefault(row.tenant_id, []).append(row)
        for tenant_id, theirs in of.items():
            self._shops[tenant_id].apply(theirs)

    def _look(self, *, force: bool = False) -> None:
        """Take in what others wrote: events, wares, rules. A few short reads, now and then."""
        now = time.monotonic()
        if not force and now - self._looked_at < _LOOK_S and now > self._forced_until:
            return
        self._ask_for_model()
        with self._following:
            self._looked_at = time.monotonic()
            with self.database.read() as connection:
                if self._seq < 0:
                    self._seq = store.behaviour.last_seq(connection)
                while True:
                    rows = store.behaviour.since(connection, self._seq, _PAGE)
                    if not rows:
                        break
                    self._apply(rows)
                    self._seq = rows[-1].seq
                for shop in list(self._shops.values()):
                    shop.look(connection)
                    self._settle(shop)
            if self.moods is not None:
                for tenant_id in list(self._shops):
                    self.moods.look(tenant_id)

    def _unsettle(self, tenant_id: TenantId, subject_id: SubjectId) -> None:
        shop = self._shops.get(tenant_id)
        if shop is not None:
            shop.forget(subject_id)

    # ---- private: what to show ---------------------------------------------------------------------------------------

    def _shop(self, tenant_id: TenantId) -> Shop:
        shop = self._shops.get(tenant_id)
        if shop is not None:
            return shop
        with self._opening:
            shop = self._shops.get(tenant_id)
            if shop is None:
                self._ask_for_model(now=True)
                now = self.clock.now()
                together = None if self._together is None else self._together(now.timestamp())
                with self.database.read() as connection:
                    shop = opened(tenant_id, connection, World(now, together=together), now)
                if self._model is not None:
                    name, model, ranker = self._model
                    shop.world.use(model, name, ranker)
                with self._following:
                    # Events between its reading and now are given to it by the next look; it knows which it has.
                    self._seq = shop.seq if self._seq < 0 else min(self._seq, shop.seq)
                    self._shops[tenant_id] = shop
                self._settle(shop)
                if self._trailing is not None:
                    self._trailing.start()
        return shop

    def _ask_for_model(self, *, now: bool = False) -> None:
        """See whether another model serves; taking it in has a thread of its own, unless it is asked for `now`."""
        if self._models is None or (not now and time.monotonic() - self._asked_at < _MODEL_S):
            return
        self._asked_at = time.monotonic()

        def ask() -> None:
            with self._asking:
                found = self._models() if self._models is not None else None
                if found is not None:
                    name, model, *ranker = found
                    self.use(model, name, *ranker)

        if now:
            ask()
        else:
            threading.Thread(target=ask, name="shop-model", daemon=True).start()

    def _settle(self, shop: Shop) -> None:
        """Part a large shelf into cells in the background; until then products are exact, only slower."""
        near = shop.world.near
        if near.needs_settling and not shop.is_settling:
            shop.is_settling = True

            def work() -> None:
                try:
                    near.settle()
                finally:
                    shop.is_settling = False

            threading.Thread(target=work, name="shop-settling", daemon=True).start()

    def _mood(self, shop: Shop, ask: Ask, recent: Sequence[Happened], now: datetime) -> Mood | None:
        if self.moods is None or not ask.use_mood:
            return None
        return self.moods.now(shop.tenant_id, ask.person, recent, now, ware_of=shop.world.shelf.ware)

    def _listed(
        self, shop: Shop, wanted: Wanted, places: list[Place], now: datetime, reasons: bool
    ) -> tuple[Suggestions, Pending | None]:
        ask, world = wanted.ask, shop.world
        why = reasons_of(world, wanted, places, self.explain, now) if reasons else [None] * len(places)
        suggested = tuple(
            Suggested(place.ware, at, place.score, place.source, place.propensity, because)
            for at, (place, because) in enumerate(zip(places, why, strict=True))
        )
        impression_id = new_id("shown")
        made = Suggestions(
            impression_id, ask.surface, ask.person, now, suggested, world.model_name, wanted.mood,
            cursor=ask.cursor or impression_id,
        )  # fmt: skip
        if ask.is_test or not places:
            return made, None
        self._note(shop, wanted, places, impression_id, now)
        bucket = wanted.digest.bucket
        chances = world.ranker.expected([place.score for place in places], bucket).round(6).tolist()
        exposure = Exposure(
            impression_id,
            SubjectId(wanted.person.subject_id),
            ask.surface,
            now,
            world.model_name,
            tuple(
                (place.ware.product_id, place.propensity, chance, place.source)
                for place, chance in zip(places, chances, strict=True)
            ),
            tuple(_pool(shop, at, place, bucket) for at, place in enumerate(places) if place.pool is not None),
        )
        artifact = None if world.model is None else world.model_name
        features = tuple(place.features for place in places)
        return made, Pending(shop.tenant_id, exposure, features, artifact, bucket)

    def _note(self, shop: Shop, wanted: Wanted, places: list[Place], impression_id: str, now: datetime) -> None:
        surface, bucket = wanted.ask.surface, wanted.digest.bucket
        explored: list[tuple[int, Any]] = []
        for place in places:
            if place.pool is not None:
                segment = shop.world.explorer.of(surface, bucket)
                x = np.concatenate([[1.0], place.features]).astype(np.float64)
                segment.shown(x)
                explored.append((place.row, (segment, x)))
        rows = tuple(place.row for place in places)
        wanted.person.was_shown(Listed(impression_id, surface, now.timestamp(), rows, tuple(explored)))


def _pool(shop: Shop, at: int, place: Place, bucket: int) -> Pool:
    assert place.pool is not None
    x, rows, chances, blend = place.pool
    wares = shop.world.shelf.wares
    ids = tuple("" if (ware := wares[row]) is None else ware.product_id for row in rows.tolist())
    return Pool(at, x.tolist(), ids, chances.tolist(), blend, bucket)


def _wrong_with(rule: MerchantRule) -> str | None:
    about = rule.product_id or rule.category or rule.seller
    if rule.kind == "pin" and rule.product_id is None:
        return "which product is pinned? product_id"
    if rule.kind == "bury" and about is None:
        return "what is buried? product_id, category or seller"
    if rule.kind in ("cap", "margin", "stock_floor", "bought_window") and rule.amount is None:
        return "amount is missing"
    if rule.amount is not None and not 0 <= rule.amount <= 1e6:
        return "amount: 0 to 1,000,000"
    if not 0 < len(rule.rule_id) <= 80:
        return "rule_id: 1 to 80 characters"
    return None
