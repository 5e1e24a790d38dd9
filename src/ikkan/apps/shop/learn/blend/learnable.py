"""The learnable `shop.blend`: how likely each place of a list is clicked, by what is known of the ware there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from ikkan.apps.shop.learn.blend.lists import KEPT, read_lists
from ikkan.apps.shop.learn.next_item.events import HAPPENED, SHOWN
from ikkan.apps.shop.rules.suggest.ranker import FEATURES, Ranker, fitted, level, probability
from ikkan.flywheel.contract import NO_OUTCOMES, Budget, Examples, Fitted, Metric, Outcomes, Recipe, Scores, Shown
from ikkan.ground.events import EventReader
from ikkan.ground.ids import TenantId

NAME = "shop.blend"
KIND = "shop-blend"
SHORT = 10
"""A list of fewer places counts as one of so many whose others told nothing: one place says little."""


class BlendLearnable:
    """Learns the weights of the blend from lists that were shown. Implements `ikkan.flywheel.contract.Learnable`.

    One number a list: the log loss of its places, in nats a place, at most one. It is a proper score: whoever says the
    true chance of each click loses least. What nothing was learned for are the defaults of the rules.

    Args:
        tenant_id: whose events to learn from; None: everyone's.
    """

    name = NAME
    metric = Metric(
        name="log_loss",
        direction="lower",
        title={
            "ja": "クリック予測の対数損失(1か所あたり)",
            "en": "log loss of clicks, a place shown",
            "zh": "点击预测的对数损失(每个位置)",
        },
    )
    enough = 1_000
    """Lists: at five clicks in a hundred places, some thousand people show a gain of 0.005."""
    verbatim = frozenset({"item"})

    def __init__(self, *, tenant_id: TenantId | None = None) -> None:
        self._tenant_id = tenant_id

    def examples(self, events: EventReader, until: datetime, background: Mapping[str, bytes] | None = None) -> Examples:
        """Lists shown before `until`, each with the places that were clicked."""
        found = events.read([SHOWN, HAPPENED], tenant_id=self._tenant_id, since=until - KEPT, until=until)
        return read_lists(found, until)

    def train(self, examples: Examples, budget: Budget, seed: int) -> Fitted:
        """Draw the weights away from the defaults as far as these lists insist."""
        rows = _Rows.of(_latest(examples, budget))
        return _kept(fitted(rows.features, rows.clicked, rows.buckets, rows.places) if len(rows) else Ranker(), rows)

    def score(self, fitted: Fitted, examples: Examples) -> Scores:
        """For each list, the log loss of a place."""
        rows = _Rows.of(examples)
        if not len(rows):
            return np.zeros(0)
        chances = np.clip(rows.chances(Ranker.from_files(fitted.files)), 1e-9, 1 - 1e-9)
        losses = -np.log(np.where(rows.clicked, chances, 1 - chances))
        sums = np.bincount(rows.lists, losses, len(examples))
        return np.minimum(sums / np.maximum(np.bincount(rows.lists, minlength=len(examples)), SHORT), 1.0)

    def show(self, fitted: Fitted, examples: Examples) -> Sequence[Shown]:
        """What the list began with, the place that the model expects most of, and what was clicked."""
        ranker, found = Ranker.from_files(fitted.files), []
        for listed, clicked in zip(examples.inputs, examples.truths, strict=True):
            odds = ranker.odds(listed.features, listed.bucket)
            best = int(ranker.expected(probability(odds), listed.bucket).argmax())
            begins = ", ".join(listed.product_ids[:3])
            right = ", ".join(listed.product_ids[place] for place in clicked.places if place < len(odds))
            found.append(Shown(f"{listed.surface}: {begins}", listed.product_ids[best], right or "–"))
        return found

    def outcome(self, events: EventReader, arm: str) -> Outcomes:
        """None: what people buy of a list is the judge of `shop.next_item`."""
        return NO_OUTCOMES

    def baselines(self) -> Mapping[str, Recipe]:
        """The defaults of the rules; and how often each place is clicked, whatever stands there."""
        return {"default": lambda examples, budget, seed: _kept(Ranker(), None), "place": self._by_place}

    def _by_place(self, examples: Examples, budget: Budget, seed: int) -> Fitted:
        rows = _Rows.of(_latest(examples, budget))
        return _kept(level(rows.clicked, rows.buckets, rows.places), rows)


def _kept(ranker: Ranker, rows: _Rows | None) -> Fitted:
    told = {"places": 0, "clicks": 0} if rows is None else {"places": len(rows), "clicks": int(rows.clicked.sum())}
    return Fitted(KIND, ranker.to_files(), told)


def _latest(examples: Examples, budget: Budget) -> Examples:
    taught = examples.take(examples.teaches)
    return taught.take(np.arange(max(0, len(taught) - budget.examples), len(taught)))


@dataclass(frozen=True, slots=True)
class _Rows:
    """Places of many lists, one after the other."""

    features: NDArray[np.float32]
    clicked: NDArray[np.bool_]
    buckets: NDArray[np.int64]
    places: NDArray[np.int64]
    """Of each in its list, from 0."""
    lists: NDArray[np.int64]
    """Which list each belongs to."""

    def __len__(self) -> int:
        return len(self.clicked)

    @classmethod
    def of(cls, examples: Examples) -> _Rows:
        sizes = np.array([len(listed.product_ids) for listed in examples.inputs], np.int64)
        lists = np.repeat(np.arange(len(sizes)), sizes)
        places = np.arange(int(sizes.sum())) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        clicked = np.zeros(len(lists), np.bool_)
        for at, (begin, size) in enumerate(zip((np.cumsum(sizes) - sizes).tolist(), sizes.tolist(), strict=True)):
            clicked[[begin + place for place in examples.truths[at].places if place < size]] = True
        features = [listed.features for listed in examples.inputs]
        return cls(
            np.concatenate(features) if features else np.zeros((0, len(FEATURES)), np.float32),
            clicked,
            np.repeat(np.array([listed.bucket for listed in examples.inputs], np.int64), sizes),
            places,
            lists,
        )

    def chances(self, ranker: Ranker) -> NDArray[np.float64]:
        """That of a click on each, where it stood."""
        odds = (self.features * ranker.weights[self.buckets, 1:]).sum(1) + ranker.weights[self.buckets, 0]
        odds -= ranker.fades[self.buckets] * np.log1p(self.places)
        return np.asarray(1.0 / (1.0 + np.exp(-np.clip(odds, -30, 30))))
