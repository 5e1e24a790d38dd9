"""The learnable `shop.next_item`: what this person, rather than another, does next."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from ikkan.apps.shop.learn.next_item.events import HAPPENED, did_in
from ikkan.apps.shop.learn.next_item.outcome import bought_within
from ikkan.apps.shop.learn.next_item.rung import EncoderRung, held
from ikkan.apps.shop.learn.next_item.visits import STREAM, read_visits
from ikkan.apps.shop.learn.next_item.world import VisitWorld
from ikkan.apps.shop.rules.factors import LIST, Factors, Floats, Index, Stream, best, learned, ndcg, told_apart
from ikkan.apps.shop.rules.next_item.kinds import likes as likes_of
from ikkan.apps.shop.rules.next_item.kinds import model_in
from ikkan.apps.shop.rules.suggest.hooks import Encodes
from ikkan.flywheel.contract import Budget, Examples, Fitted, Metric, Outcomes, Recipe, Scores, Shown
from ikkan.ground.events import EventReader
from ikkan.ground.ids import TenantId

NAME = "shop.next_item"
KIND = "shop-next-item"
NOTHING = "shop-next-item-nothing"
"""The kind of the baseline that tells nobody apart."""
VISITS_A_SECOND = 1_000
"""Learned from, on one busy core; a budget in seconds, in visits, is the same on every machine."""
BELIEVED = 16.0
"""What likeness counts beside the logarithm of popularity where `measured` makes a list of both."""
_HALF_LIFE = 20_000.0


class NextItemLearnable:
    """Learns which things follow which. Implements `ikkan.flywheel.contract.Learnable`.

    One number a visit: the share of what other people did meanwhile that the model puts below what this person did
    (`rules.factors.told_apart`), over everything that was done, nothing drawn. Whatever says the same of everybody is
    worth one half, so popularity, which the shop counts at every event and needs no learning for, earns nothing here.

    Args:
        tenant_id: whose events to learn from; None: everyone's.
        live: whether people were shown lists by an arm, so that a trial can be judged by what they bought.
        above: what may learn where there is more time.
    """

    name = NAME
    metric = Metric(
        name="told_apart",
        title={
            "ja": "他の人と見分けた割合",
            "en": "share of others' choices put below one's own",
            "zh": "与他人区分的比例",
        },
    )
    budget = Budget(seconds=60.0)
    thorough = Budget(seconds=900.0)
    """Enough for the encoder to learn from some fifty thousand visits to some ten thousand wares."""

    enough = 200
    """Visits: twenty are some minutes of a shop, and each attempt against a champion is dearer than the one before."""

    def __init__(
        self, *, tenant_id: TenantId | None = None, live: bool = False, above: EncoderRung = EncoderRung()
    ) -> None:
        self._tenant_id = tenant_id
        self._live = live
        self._above = above
        self._loaded: tuple[Fitted, Encodes] | None = None
        self._read: tuple[bytes, Stream] | None = None

    def examples(self, events: EventReader, until: datetime, background: Mapping[str, bytes] | None = None) -> Examples:
        """Visits before `until`: what people looked at, put into a basket or bought."""
        return read_visits(did_in(events.read([HAPPENED], tenant_id=self._tenant_id, until=until)))

    def train(self, examples: Examples, budget: Budget, seed: int) -> Fitted:
        """Learn which things follow which, from nothing but these visits: lightly, and where there is time for it also
        with the encoder, which is what comes of it if it told people apart better on lessons that neither had seen."""
        light, latest = self._fit(examples, budget, seed, centred=True), self._latest(examples, budget)
        lessons = self._above.in_time(latest, budget.seconds - len(latest) / VISITS_A_SECOND)
        if lessons is None:
            return light
        before = latest.take(np.arange(len(latest) - held(lessons)))
        found = self._above.better(lessons, self.model(self._fit(before, budget, seed, centred=True)), seed)
        if found is None:
            return light
        facts = {"lessons": len(lessons), "items": len(found.model.item_ids), "held": found.told_apart}
        return Fitted(KIND, found.model.to_files(), facts)

    def score(self, fitted: Fitted, examples: Examples) -> Scores:
        """For each visit, the share of others' doings below this person's; one half where nothing is known."""
        if not len(examples):
            return np.zeros(0)
        stream, found = self._stream(examples), np.full(len(examples), 0.5)
        if not len(self.model(fitted).item_ids):
            return found
        rows = zip(examples.inputs, examples.truths, self._likes(fitted, examples), strict=True)
        for at, (visit, then, likes) in enumerate(rows):
            others = stream.meanwhile(visit.place, stream.rows_of(visit.history))
            found[at] = told_apart(likes, others, stream.rows_of(then.product_ids))
        return found

    def show(self, fitted: Fitted, examples: Examples) -> Sequence[Shown]:
        """The latest things of each person, what the model likes best for them now, and what they did."""
        rows = zip(examples.inputs, self.likeliest(fitted, examples), examples.truths, strict=True)
        return [
            Shown(" → ".join(visit.history[-3:]) or "–", ", ".join(top) or None, ", ".join(then.product_ids))
            for visit, top, then in rows
        ]

    def likeliest(self, fitted: Fitted, examples: Examples, count: int = 3) -> list[tuple[str, ...]]:
        """What the model likes best for each visit; nothing where it knows nothing of the person."""
        if not len(examples):
            return []
        stream, found = self._stream(examples), list[tuple[str, ...]]()
        for visit, likes in zip(examples.inputs, self._likes(fitted, examples), strict=True):
            top = best(likes, stream.rows_of(visit.history), count) if likes.any() else []
            found.append(tuple(stream.item_ids[row] for row in top))
        return found

    def outcome(self, events: EventReader, arm: str) -> Outcomes:
        """Whether people bought something of a list within seven days; that they keep it for thirty must not fall."""
        return bought_within(events, arm, self._tenant_id, declared=self._live)

    def baselines(self) -> Mapping[str, Recipe]:
        """To tell nobody apart, which is what popularity does. Other ways to learn from the same visits are no reason
        to go on serving a worse model (decision 0253); they stand in `rivals`."""
        return {"popular": lambda examples, budget, seed: Fitted(NOTHING, Factors.nothing().files())}

    def rivals(self) -> Mapping[str, Recipe]:
        """Simple ways to learn from the same visits: plain likeness of items, and what follows the last thing alone."""
        return {
            "item_knn": lambda examples, budget, seed: self._fit(examples, budget, seed, centred=False),
            "covisits": lambda examples, budget, seed: self._fit(examples, budget, seed, centred=False, longest=1),
        }

    def measured(self, fitted: Fitted, examples: Examples) -> Mapping[str, float]:
        """The metric, and NDCG@10 of a list of popularity and likeness together, full ranking."""
        scores = self.score(fitted, examples)
        return {"told_apart": float(scores.mean()), f"ndcg@{LIST}": float(self.lists(fitted, examples).mean())}

    def lists(self, fitted: Fitted, examples: Examples, believed: float = BELIEVED) -> Scores:
        """NDCG@10 of each visit under full ranking of everything there is, by popularity and likeness."""
        stream = self._stream(examples)
        found, counts, at = np.zeros(len(examples)), np.zeros(len(stream.item_ids)), 0
        order = np.argsort([visit.place for visit in examples.inputs], kind="stable")
        for index, likes in zip(order.tolist(), self._likes(fitted, examples.take(order)), strict=True):
            visit, then = examples.inputs[index], examples.truths[index]
            faded = 0.5 ** (np.arange(visit.place - at)[::-1] / _HALF_LIFE)
            counts = counts * 0.5 ** ((visit.place - at) / _HALF_LIFE) + np.bincount(
                stream.rows[at : visit.place], faded, len(counts)
            )
            at = visit.place
            scores = np.log1p(counts) + believed * likes
            top = best(scores, stream.rows_of(visit.history))
            found[index] = ndcg(top, set(stream.rows_of(then.product_ids).tolist()))
        return found

    def world(self, data: Path | None, *, quick: bool = False) -> VisitWorld:
        """Where it can be proved that what people do teaches. See `proof.Provable`."""
        return VisitWorld(NextItemLearnable(), data, quick=quick)

    def model(self, fitted: Fitted) -> Encodes:
        """The model in an artifact, of whichever kind, as the shop serves it."""
        loaded = self._loaded
        if loaded is None or loaded[0] is not fitted:
            loaded = self._loaded = (fitted, model_in(fitted.files) or Factors.nothing())
        return loaded[1]

    def _likes(self, fitted: Fitted, examples: Examples) -> Iterator[Floats]:
        """For each visit, how much its person likes each ware of the stream."""
        histories = [visit.history for visit in examples.inputs]
        return likes_of(self.model(fitted), self._stream(examples).item_ids, histories)

    def _stream(self, examples: Examples) -> Stream:
        """What happened in the shop; the same content is read once, since all contestants are asked the same."""
        content, read = examples.background[STREAM], self._read
        if read is None or read[0] is not content:
            read = self._read = (content, Stream.load(content))
        return read[1]

    def _latest(self, examples: Examples, budget: Budget) -> Examples:
        most = min(budget.examples, int(budget.seconds * VISITS_A_SECOND))
        taught = examples.take(examples.teaches)
        return taught.take(np.arange(max(0, len(taught) - most), len(taught)))

    def _fit(self, examples: Examples, budget: Budget, seed: int, **how: Any) -> Fitted:
        latest = self._latest(examples, budget)
        if not len(latest):
            return Fitted(KIND, Factors.nothing().files(), {"lessons": 0, "items": 0})
        # Only what these visits name: a model does not depend on what it did not learn from.
        named = [(visit.history, then.product_ids) for visit, then in zip(latest.inputs, latest.truths, strict=True)]
        ids = sorted({item for before, then in named for item in (*before, *then)})
        place = {item: row for row, item in enumerate(ids)}
        whose = {unit: number for number, unit in enumerate(dict.fromkeys(latest.unit_ids))}
        found = learned(
            np.array([whose[unit] for unit in latest.unit_ids], dtype=np.int64),
            [_rows(before, place) for before, _ in named],
            [_rows(then, place) for _, then in named],
            tuple(ids),
            seed=seed,
            **how,
        )
        return Fitted(KIND, found.files(), {"lessons": len(latest), "items": len(found.item_ids)})


def _rows(items: Sequence[str], place: Mapping[str, int]) -> Index:
    return np.array([place[item] for item in items], dtype=np.int64)
