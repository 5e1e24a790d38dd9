"""Moods of people: what they said, else what the last half hour shows; never for whoever switched it off.

What was said, and the switch, are kept and erased with the person. What was inferred is made anew each time and kept
nowhere. Asked at each suggestion, so both are looked up in memory first.
"""

from __future__ import annotations

import threading
import time
from bisect import bisect_left
from collections import Counter, OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from ikkan.apps.shop import store
from ikkan.apps.shop.rules.mood import WINDOW_S, Own, heard, infer, own
from ikkan.apps.shop.rules.mood.saying import SAID_FOR_S
from ikkan.apps.shop.rules.mood.sensitive import is_sensitive
from ikkan.apps.shop.rules.mood.signals import WareOf, facets_of
from ikkan.apps.shop.store.moods import Kept
from ikkan.apps.shop.values import Happened, Language, Mode, Mood, Ware
from ikkan.ground.clock import Clock
from ikkan.ground.db import Database
from ikkan.ground.errors import BadInput, Conflict
from ikkan.ground.ids import SubjectId, TenantId

_KEPT_S = 2.0
"""Another process may have written meanwhile; after so long we look again."""
_SOON_S = 0.1
"""What is at hand stays so for a moment, until the list is made."""
_ROWS = 2_000
"""Of a shop with no more rows everybody's are in memory, as they were at the last look."""
_SHELF_S = 300.0
_PEOPLE = 20_000
_FACETS = 2_000
_NOTHING = Kept()
_EMBEDDED = 300
"""So many of the shop's commonest facets are compared by meaning."""


@dataclass(slots=True)
class _Known:
    """What is kept of one person, as it was read."""

    kept: Kept
    read_at: float


@dataclass(frozen=True, slots=True)
class _Looked:
    """The rows of a shop as they were at the last look."""

    stamp: tuple[int, datetime | None] | None
    """None: something was written here since."""
    rows: dict[SubjectId, Kept] | None
    """None: they are too many."""
    at: float


class Moods:
    """Knows what somebody seems to want.

    Args:
        pseudonym: of a person's id; by it they are known here.
        embed: the house's embedding model; None where there is none.
        hours_from_utc: of the shop's clock on the wall.
    """

    def __init__(
        self,
        database: Database,
        clock: Clock,
        *,
        pseudonym: Callable[[TenantId, str], SubjectId],
        embed: Callable[[Sequence[str]], NDArray[np.float32]] | None = None,
        hours_from_utc: float = 0.0,
    ) -> None:
        self.database, self.clock, self.pseudonym = database, clock, pseudonym
        self._embed, self._hours = embed, hours_from_utc
        self._lock = threading.Lock()
        self._kept: OrderedDict[tuple[TenantId, SubjectId], _Known] = OrderedDict()
        """Who was read longest ago comes first."""
        self._looked: dict[TenantId, _Looked] = {}
        self._wrote_at = float("-inf")
        self._usual: OrderedDict[tuple[TenantId, SubjectId], tuple[tuple[int, str], Own]] = OrderedDict()
        self._shelves: dict[TenantId, tuple[float, Mapping[str, float]]] = {}
        self._vectors: dict[str, NDArray[np.float32]] = {}

    # ---- reading -----------------------------------------------------------------------------------------------------

    def now(
        self,
        tenant_id: TenantId,
        person: str,
        recent: Sequence[Happened],
        at: datetime,
        *,
        ware_of: WareOf | None = None,
    ) -> Mood | None:
        """The mood somebody is in: said and not ended, else inferred; None when switched off, or nothing tells.

        Args:
            recent: what the person did, newest last; what is older than half an hour says what is usual for them.
            ware_of: what a product is; None: as the shelf in the database has it.
        """
        kept = self._read(tenant_id, self.pseudonym(tenant_id, person))
        if kept.is_off:
            return None
        if kept.said is not None and kept.said.expires_at > at:
            return kept.said
        cut = bisect_left(recent, at - timedelta(seconds=WINDOW_S), key=lambda event: event.at)
        if cut == len(recent):
            return None
        ware_of = ware_of or self._shelf_of(tenant_id, recent)
        shop = self._shelves.get(tenant_id, (0.0, {}))[1]
        usual = self._usual_of(tenant_id, person, recent[:cut], ware_of)
        return infer(recent, ware_of, at, usual=usual, shop=shop, hours_from_utc=self._hours)

    def at_hand(self, tenant_id: TenantId, person: str) -> bool:
        """Whether the mood of this person can be told without asking the database."""
        return self._known(tenant_id, self.pseudonym(tenant_id, person), time.monotonic() + _SOON_S) is not None

    def fetch(self, tenant_id: TenantId, person: str) -> None:
        """Ask the database, so that the mood is at hand."""
        self._read(tenant_id, self.pseudonym(tenant_id, person), _SOON_S)

    def look(self, tenant_id: TenantId) -> None:
        """See whether other processes wrote anything: one short question keeps everybody's mood at hand."""
        began, before = time.monotonic(), self._looked.get(tenant_id)
        with self.database.read() as connection:
            stamp = store.moods.stamp(connection, tenant_id)
            rows = None if before is None or before.stamp != stamp else before.rows
            if rows is None and stamp[0] <= _ROWS:
                rows = store.moods.everybody(connection, tenant_id)
        with self._lock:
            if self._wrote_at < began:  # else the next look sees what was written
                self._looked[tenant_id] = _Looked(stamp, rows, began)

    def is_off(self, tenant_id: TenantId, person: str) -> bool:
        """Whether this person wants no mood used."""
        return self._read(tenant_id, self.pseudonym(tenant_id, person)).is_off

    # ---- writing -----------------------------------------------------------------------------------------------------

    def say(self, tenant_id: TenantId, person: str, text_or_chip: str, language: Language) -> Mood:
        """Take a chip's name or a sentence as the mood; it holds for two hours.

        Raises:
            BadInput: nothing in it is about wanting something.
            Conflict: moods are switched off for this person.
        """
        at = self.clock.now()
        mood = heard(text_or_chip, at, facets=list(self._facets(tenant_id)), embed=self._meaning)
        if mood is None:
            hints = {
                "ja": "例: 落ち着いた安いもの",
                "en": "for example: something calm and cheap",
                "zh": "例如：安静又便宜的",
            }
            raise BadInput("that says nothing about what is wanted", hint=hints[language])
        return self._put_said(tenant_id, person, mood)

    def edit(
        self,
        tenant_id: TenantId,
        person: str,
        before: Mood | None,
        *,
        mode: Mode | None = None,
        facets: Mapping[str, float] | None = None,
        price_bias: float | None = None,
        novelty: float | None = None,
        energy: float | None = None,
    ) -> Mood:
        """Change parts of a mood; from then on it is one that was said.

        Args:
            before: the mood that was shown; None: begin with a plain one.
            facets: instead of those there are; 0 takes one away.
        """
        at = self.clock.now()
        ends = at + timedelta(seconds=SAID_FOR_S)
        base = before or Mood("explore", {}, 0.0, 0.5, 0.5, 1.0, ends)
        wanted = dict(base.facets if facets is None else facets)
        if any(is_sensitive(facet) for facet in wanted):
            raise BadInput("a mood is never built on this", hint="leave the facet out")
        changed = replace(
            base,
            mode=mode or base.mode,
            facets={facet: min(max(want, -1.0), 1.0) for facet, want in wanted.items() if want},
            price_bias=base.price_bias if price_bias is None else min(max(price_bias, -1.0), 1.0),
            novelty=base.novelty if novelty is None else min(max(novelty, 0.0), 1.0),
            energy=base.energy if energy is None else min(max(energy, 0.0), 1.0),
            confidence=1.0,
            expires_at=ends,
            evidence=(),
            is_said=True,
            modes={},
        )
        return self._put_said(tenant_id, person, changed)

    def off(self, tenant_id: TenantId, person: str) -> None:
        """Use no mood for this person from the next suggestion on; what was said is gone."""
        self._put(tenant_id, self.pseudonym(tenant_id, person), Kept(is_off=True))

    def on(self, tenant_id: TenantId, person: str) -> None:
        """Use moods again, beginning with what is done from now on; also ends what was said."""
        self._put(tenant_id, self.pseudonym(tenant_id, person), Kept())

    def drop_ended(self) -> int:
        """Remove from the store what was said and has ended."""
        with self.database.transaction() as connection:
            return store.moods.drop_ended(connection, self.clock.now())

    def forget(self, tenant_id: TenantId, subject_id: SubjectId) -> None:
        """Drop from memory what is known of a person whose rows were erased."""
        with self._lock:
            self._wrote_at = time.monotonic()
            self._kept.pop((tenant_id, subject_id), None)
            looked = self._looked.get(tenant_id)
            if looked is not None and looked.rows is not None:
                looked.rows.pop(subject_id, None)
                self._looked[tenant_id] = replace(looked, stamp=None)
            self._usual.clear()

    # ---- private -----------------------------------------------------------------------------------------------------

    def _read(self, tenant_id: TenantId, subject_id: SubjectId, early_s: float = 0.0) -> Kept:
        now = time.monotonic()
        kept = self._known(tenant_id, subject_id, now + early_s)
        if kept is not None:
            return kept
        with self.database.read() as connection:
            kept = store.moods.get(connection, tenant_id, subject_id)
        with self._lock:
            found = self._kept.get((tenant_id, subject_id))
            if found is not None and found.read_at > now:
                return found.kept  # they said something while we read
            self._keep((tenant_id, subject_id), _Known(kept, now))
        return kept

    def _known(self, tenant_id: TenantId, subject_id: SubjectId, at: float) -> Kept | None:
        """What is kept of a person, as fresh as it has to be; None: ask the database."""
        looked = self._looked.get(tenant_id)
        if looked is not None and looked.rows is not None and at - looked.at < _KEPT_S:
            return looked.rows.get(subject_id, _NOTHING)
        found = self._kept.get((tenant_id, subject_id))
        return found.kept if found is not None and at - found.read_at < _KEPT_S else None

    def _keep(self, key: tuple[TenantId, SubjectId], known: _Known) -> None:
        self._kept[key] = known
        self._kept.move_to_end(key)
        if len(self._kept) > _PEOPLE:
            self._kept.popitem(last=False)

    def _put_said(self, tenant_id: TenantId, person: str, mood: Mood) -> Mood:
        subject_id = self.pseudonym(tenant_id, person)
        with self.database.read() as connection:
            if store.moods.get(connection, tenant_id, subject_id).is_off:
                raise Conflict("moods are switched off for this person", hint="switch them on first")
        self._put(tenant_id, subject_id, Kept(said=mood))
        return mood

    def _put(self, tenant_id: TenantId, subject_id: SubjectId, kept: Kept) -> None:
        with self.database.transaction() as connection:
            store.moods.put(connection, tenant_id, subject_id, kept, self.clock.now())
        with self._lock:
            self._put_down(tenant_id, subject_id, kept)

    def _put_down(self, tenant_id: TenantId, subject_id: SubjectId, kept: Kept) -> None:
        """Know what was just written."""
        self._wrote_at = time.monotonic()
        self._keep((tenant_id, subject_id), _Known(kept, self._wrote_at))
        looked = self._looked.get(tenant_id)
        if looked is not None and looked.rows is not None:
            looked.rows[subject_id] = kept
            self._looked[tenant_id] = replace(looked, stamp=None)

    def _usual_of(self, tenant_id: TenantId, person: str, past: Sequence[Happened], ware_of: WareOf) -> Own:
        key = (tenant_id, self.pseudonym(tenant_id, person))
        stamp = (len(past), past[-1].event_id if past else "")
        with self._lock:
            found = self._usual.get(key)
        if found is not None and found[0] == stamp:
            return found[1]
        usual = own(past, ware_of)
        with self._lock:
            self._usual[key] = stamp, usual
            self._usual.move_to_end(key)
            if len(self._usual) > _PEOPLE:
                self._usual.popitem(last=False)
        return usual

    def _shelf_of(self, tenant_id: TenantId, recent: Sequence[Happened]) -> WareOf:
        ids = [each for each in dict.fromkeys(event.product_id for event in recent) if each is not None]
        with self.database.read() as connection:
            return store.shelf.some(connection, tenant_id, ids).get

    def _facets(self, tenant_id: TenantId) -> Mapping[str, float]:
        """The shop's facets with their shares of the shelf, the commonest first."""
        now = time.monotonic()
        found = self._shelves.get(tenant_id)
        if found is not None and now - found[0] < _SHELF_S:
            return found[1]
        with self.database.read() as connection:
            wares: Sequence[Ware] = store.shelf.wares(connection, tenant_id)
        counts: Counter[str] = Counter()
        for ware in wares:
            counts.update(facets_of(ware))
        shares = {facet: count / len(wares) for facet, count in counts.most_common(_FACETS)}
        self._shelves[tenant_id] = (now, shares)
        return shares

    def _meaning(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Vectors of texts; those of facets are kept. Without a model, nothing is near anything."""
        texts = texts[: _EMBEDDED + 1]
        if self._embed is None:
            return np.zeros((len(texts), 1), np.float32)
        with self._lock:
            new = [text for text in dict.fromkeys(texts) if text not in self._vectors]
        vectors = dict(zip(new, self._embed(new), strict=True)) if new else {}
        with self._lock:
            if len(self._vectors) > 20_000:
                self._vectors.clear()
            # The sentence itself comes first, and is not kept: it is somebody's own words.
            self._vectors |= {text: vectors[text] for text in texts[1:] if text in vectors}
            known = {**self._vectors, **vectors}
        return np.stack([known[text] for text in texts])
