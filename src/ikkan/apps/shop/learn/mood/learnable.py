"""The learnable `shop.mood`: how far facets, price and novelty of a mood move a list."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import msgspec
import numpy as np
from numpy.typing import NDArray

from ikkan.apps.shop.learn.mood.sessions import SHELF, Session, happened_in, read_sessions
from ikkan.apps.shop.learn.next_item.events import HAPPENED
from ikkan.apps.shop.learn.next_item.visits import STREAM, Then
from ikkan.apps.shop.rules.factors import Stream, told_apart
from ikkan.apps.shop.rules.mood import infer, own
from ikkan.apps.shop.rules.mood.steering import PULLS, FacetTable, Pulls, Seen, pulls_in, steer, strength
from ikkan.apps.shop.values import Mood, Ware
from ikkan.flywheel.contract import NO_OUTCOMES, Budget, Examples, Fitted, Metric, Outcomes, Recipe, Scores, Shown
from ikkan.ground.events import EventReader
from ikkan.ground.ids import TenantId

NAME = "shop.mood"
KIND = "shop-mood"
NONE = Pulls(facets=0.0, price=0.0, novelty=0.0, energy=0.0)
"""A mood that moves nothing."""
STEPS: Mapping[str, tuple[float, ...]] = {
    "facets": (0.0, 0.25, 0.5, 1.0, 1.5, 2.0, 3.0),
    "price": (0.0, 0.2, 0.35, 0.7),
    "novelty": (0.0, 0.15, 0.3, 0.6),
}
"""What is tried of each part; the others stay as they are."""
_TURNS = 2


class MoodLearnable:
    """Learns how far a mood is to be followed. Implements `ikkan.flywheel.contract.Learnable`.

    One number a visit: the share of the things other people did meanwhile that stand below what this person did in the
    second half of the visit, when popularity is steered by the mood that the first half showed. No mood is worth what
    popularity is. Of pulls that are as good within a standard error, the gentlest is taken.

    Args:
        wares: what is on the shelf now.
        tenant_id: whose events to learn from; None: everyone's.
    """

    name = NAME
    metric = Metric(
        name="told_apart",
        title={
            "ja": "気分で見分けた割合",
            "en": "share of others' things put below one's own, by mood",
            "zh": "按心情区分的比例",
        },
    )
    budget = Budget(seconds=60.0, examples=5_000)

    def __init__(self, wares: Callable[[], Sequence[Ware]], *, tenant_id: TenantId | None = None) -> None:
        self._wares = wares
        self._tenant_id = tenant_id

    def examples(self, events: EventReader, until: datetime, background: Mapping[str, bytes] | None = None) -> Examples:
        """Visits before `until` with something in both halves."""
        if background and SHELF in background:
            wares = msgspec.json.decode(background[SHELF], type=list[Ware])
        else:
            wares = list(self._wares())
        return read_sessions(happened_in(events.read([HAPPENED], tenant_id=self._tenant_id, until=until)), wares)

    def train(self, examples: Examples, budget: Budget, seed: int) -> Fitted:
        """Look for the gentlest pulls that are as good as the best; without examples, those of the rules."""
        taught = examples.take(examples.teaches)
        latest = taught.take(np.arange(max(0, len(taught) - budget.examples), len(taught)))
        if not len(latest):
            return _fitted(PULLS, 0)
        asked, pulls = _Asked.of(latest), PULLS
        for _ in range(_TURNS):
            for part, steps in STEPS.items():
                tried = [replace(pulls, **{part: step}) for step in steps]
                scores = [asked.scores(each) for each in tried]
                pulls = tried[_gentlest(scores, latest.unit_ids)]
        return _fitted(pulls, len(latest))

    def score(self, fitted: Fitted, examples: Examples) -> Scores:
        """For each visit, how far its second half stands out once the first half's mood is followed."""
        return _Asked.of(examples).scores(_pulls(fitted)) if len(examples) else np.zeros(0)

    def show(self, fitted: Fitted, examples: Examples) -> Sequence[Shown]:
        """What was looked at, the mood in it, and what was wanted then."""
        if not len(examples):
            return []
        asked, pulls = _Asked.of(examples), _pulls(fitted)
        shown = []
        for case, session, then in zip(asked.cases, examples.inputs, examples.truths, strict=True):
            facets = {} if case.mood is None else case.mood.facets
            wanted = [name for name, _ in sorted(facets.items(), key=lambda each: -each[1])[:3]]
            said = ", ".join(wanted) if pulls.facets and strength(case.mood) else None
            question = " → ".join(str(event.product_id) for event in session.events[-3:])
            shown.append(Shown(question, said or None, ", ".join(then.product_ids)))
        return shown

    def outcome(self, events: EventReader, arm: str) -> Outcomes:
        """None: what people buy of a list is the judge of `shop.next_item`."""
        return NO_OUTCOMES

    def baselines(self) -> Mapping[str, Recipe]:
        """To follow no mood."""
        return {"no_mood": lambda examples, budget, seed: _fitted(NONE, 0)}


def _pulls(fitted: Fitted) -> Pulls:
    return pulls_in(fitted.files)


def _fitted(pulls: Pulls, lessons: int) -> Fitted:
    told = {part: getattr(pulls, part) for part in (*STEPS, "energy")}
    return Fitted(KIND, {"pulls.json": json.dumps(told, sort_keys=True).encode()}, {"lessons": lessons})


def _gentlest(scores: Sequence[Scores], units: Sequence[str]) -> int:
    """The first of those that are not worse than the best by more than a standard error over people; steps rise."""
    people = np.unique(np.array(units), return_inverse=True)[1]
    weight = np.bincount(people)
    means = [np.bincount(people, each) / weight for each in scores]
    best = max(range(len(means)), key=lambda at: (means[at].mean(), -at))
    for at, each in enumerate(means):
        short = means[best] - each
        error = float(short.std(ddof=1) / np.sqrt(len(short))) if len(short) > 1 else float("inf")
        if float(short.mean()) <= error:
            return at
    return best


@dataclass(frozen=True, slots=True)
class _Case:
    """One visit, with its candidates as the mood sees them."""

    mood: Mood | None
    base: NDArray[np.float32]
    seen: Seen
    others: NDArray[np.float64]
    mine: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class _Asked:
    """Visits, ready to be scored under any pulls."""

    cases: tuple[_Case, ...]

    @classmethod
    def of(cls, examples: Examples) -> _Asked:
        """Read each visit's mood once."""
        wares = {ware.product_id: ware for ware in msgspec.json.decode(examples.background[SHELF], type=list[Ware])}
        stream = Stream.load(examples.background[STREAM])
        table = FacetTable([wares[item] for item in stream.item_ids])
        prices = np.log(np.array([max(1, wares[item].price_micros) for item in stream.item_ids], dtype=np.float64))
        kinds = np.array([wares[item].category for item in stream.item_ids])
        rows = zip(examples.inputs, examples.truths, strict=True)
        return cls(tuple(_case(session, then, wares, stream, table, prices, kinds) for session, then in rows))

    def scores(self, pulls: Pulls) -> Scores:
        """By visit."""
        return np.array(
            [
                told_apart(np.asarray(steer(c.base, c.seen, c.mood, pulls=pulls), np.float64), c.others, c.mine)
                for c in self.cases
            ],
            dtype=np.float64,
        )


def _case(
    session: Session,
    then: Then,
    wares: Mapping[str, Ware],
    stream: Stream,
    table: FacetTable,
    prices: NDArray[np.float64],
    kinds: NDArray[np.str_],
) -> _Case:
    done = stream.rows_of([str(event.product_id) for event in session.events])
    others = stream.meanwhile(session.place, done)
    mood = infer(session.events, wares.get, session.at)
    usual = own(session.events, wares.get)
    median = usual.median_price_micros
    dearness = None if median is None else (prices - np.log(median)).astype(np.float32)
    touched = {wares[str(event.product_id)].category for event in session.events}
    newness = (~np.isin(kinds, list(touched))).astype(np.float32)
    wanted = table.wanted(mood.facets) if mood is not None else np.zeros(len(kinds), np.float32)
    seen = Seen(wanted, dearness, newness, table.energy)
    # Each thing counts once: weighted by how often it was done, any noise would look better than popularity does.
    once = (others > 0).astype(np.float64)
    return _Case(mood, np.log1p(others).astype(np.float32), seen, once, stream.rows_of(then.product_ids))
