"""Reasons: taking the named event away moves the suggestion down most; nothing that is not so is ever said."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from ikkan.apps.shop.rules.explain import LAST, because, drops
from ikkan.apps.shop.values import LANGUAGES, Happened, Mood, Ware

NOW = datetime(2026, 5, 6, 20, 0, tzinfo=UTC)
COUNT, DIM = 40, 8
RNG = np.random.default_rng(11)
VECTORS = RNG.normal(size=(COUNT, DIM))
WARES = [Ware(f"w{n}", f"Ware {n}", "Things", 100, "JPY", NOW, names={"ja": f"品{n}"}) for n in range(COUNT)]
SHELF = {ware.product_id: ware for ware in WARES}


def did(rows: Sequence[int], deed: str = "viewed") -> list[Happened]:
    return [
        Happened(f"e{n}", "me", deed, NOW + timedelta(seconds=n), f"w{row}")  # type: ignore[arg-type]
        for n, row in enumerate(rows)
    ]


class Scores:
    """A small recommender that is not a sum: attention over the kept events, recency, then a product."""

    def __init__(self, events: Sequence[Happened], places: Sequence[int]) -> None:
        self.rows = np.asarray([int((event.product_id or "w0")[1:]) for event in events])
        self.places, self.batches = list(places), 0

    def __call__(self, kept: np.ndarray) -> np.ndarray:
        self.batches += 1
        made = np.zeros((len(kept), len(self.places)))
        for at, keep in enumerate(kept):
            vectors = VECTORS[self.rows[keep]]
            if len(vectors):
                attention = np.exp(0.3 * vectors @ vectors[-1]) * 0.95 ** np.arange(len(vectors))[::-1]
                made[at] = VECTORS[self.places] @ (attention @ vectors / attention.sum()) - 1.0
        return made


def cases() -> list[tuple[list[Happened], list[int]]]:
    draw = np.random.default_rng(5)
    found = []
    for _ in range(40):
        rows = draw.permutation(COUNT)
        found.append((did(rows[:12].tolist()), rows[12:22].tolist()))
    return found


def test_the_named_event_is_the_one_the_suggestion_hangs_on() -> None:
    """Deletion: without the named event a place falls further, in score and rank, than without any other."""
    named, others, ranks_named, ranks_others, given = [], [], [], [], 0
    draw = np.random.default_rng(7)
    for events, places in cases():
        score = Scores(events, places)
        reasons = because([(WARES[row], "encoder") for row in places], events, score, ware_of=SHELF.get)
        assert score.batches == 1
        ids = [event.event_id for event in events]
        for column, reason in enumerate(reasons):
            if reason is None:
                continue
            given += 1
            assert reason.why == "event" and reason.event_id is not None and reason.share is not None
            chosen = ids.index(reason.event_id)
            other = int(draw.choice([n for n in range(len(ids)) if n != chosen]))
            kept = ~np.eye(len(ids), dtype=np.bool_)[[chosen, other]]
            whole, without, random = score(np.ones((1, len(ids)), np.bool_))[0], *score(kept)
            named.append(whole[column] - without[column])
            others.append(whole[column] - random[column])
            ranks_named.append(int((without > without[column]).sum()))
            ranks_others.append(int((random > random[column]).sum()))
            assert named[-1] >= others[-1] and named[-1] > 0
            assert reason.product_id == events[chosen].product_id
    assert given > 200
    assert np.mean(named) > 2 * np.mean(np.abs(others))
    assert np.mean(ranks_named) > np.mean(ranks_others)


def test_at_most_twenty_events_are_tried_in_one_batch_and_searches_stay() -> None:
    events = [*did(range(30)), Happened("s", "me", "searched", NOW, query="tea")]
    seen = []

    def score(kept: np.ndarray) -> np.ndarray:
        seen.append(kept)
        return np.zeros((len(kept), 1))

    found = drops(events, score)
    assert len(seen) == 1 and seen[0].shape == (LAST + 1, 31)
    assert seen[0][0].all() and seen[0][:, -1].all() and seen[0][:, :10].all()
    assert [event.event_id for event in found.events] == [f"e{n}" for n in range(10, 30)]


def flat(kept: np.ndarray) -> np.ndarray:
    return np.zeros((len(kept), 1))


def falls(kept: np.ndarray) -> np.ndarray:
    """Everything hangs on the first event."""
    return np.where(kept[:, :1], 0.0, -3.0)


@pytest.mark.parametrize(
    ("source", "score", "why"),
    [("popular", flat, "popular"), ("encoder", flat, None), ("new", flat, "new"), ("pinned", falls, "pinned"),
     ("explored", flat, None), ("popular", falls, "event"), ("covisits", falls, "event")],
)  # fmt: skip
def test_other_reasons_are_given_only_where_they_are_so(source: str, score: object, why: str | None) -> None:
    reason = because([(WARES[5], source)], did([1, 2]), score, ware_of=SHELF.get)[0]  # type: ignore[arg-type]
    assert (reason and reason.why) == why


@pytest.mark.parametrize(
    ("deed", "says"),
    [("viewed", "Because you looked at “Ware 1”"), ("carted", "Because you put “Ware 1” into your basket"),
     ("bought", "Because you bought “Ware 1”")],
)  # fmt: skip
def test_the_words_say_what_was_done(deed: str, says: str) -> None:
    reason = because([(WARES[5], "encoder")], did([1, 2], deed), falls, ware_of=SHELF.get)[0]
    assert reason is not None and reason.words["en"] == says and "品1" in reason.words["ja"]
    assert set(reason.words) == set(LANGUAGES)
    assert reason.share == pytest.approx(1 - (1 / (1 + np.e**3)) / 0.5)


def test_buying_again_is_told_as_that() -> None:
    reason = because([(WARES[1], "replenish")], did([1, 2], "bought"), falls, ware_of=SHELF.get)[0]
    assert reason is not None and reason.why == "replenish" and "before" in reason.words["en"]


def test_a_true_reason_that_cannot_be_told_is_not_replaced_by_another() -> None:
    hidden = {**SHELF, "w1": Ware("w1", "Bible", "Books > Religion", 1, "JPY", NOW)}
    assert because([(WARES[5], "encoder")], did([1, 2]), falls, ware_of=hidden.get) == [None]
    assert because([(WARES[5], "encoder")], did([1, 2]), falls, ware_of={}.get) == [None]
    assert because([(WARES[5], "encoder")], did([1, 2], "disliked"), falls, ware_of=SHELF.get) == [None]
    assert because([], [], flat, ware_of=SHELF.get) == []
    assert because([(WARES[5], "popular")], [], flat, ware_of=SHELF.get)[0] is not None


def test_a_mood_is_the_reason_only_where_it_did_more_than_any_event() -> None:
    calm = Ware("c", "Candle", "Home", 1, "JPY", NOW, tags=("calm",))
    mood = Mood("goal", {"tag=calm": 1.0}, 0.0, 0.5, 0.5, 1.0, NOW, is_said=True)
    big, small = np.asarray([4.0]), np.asarray([0.5])
    by_mood = because([(calm, "encoder")], did([1, 2]), falls, mood, ware_of=SHELF.get, lifts=big)[0]
    by_event = because([(calm, "encoder")], did([1, 2]), falls, mood, ware_of=SHELF.get, lifts=small)[0]
    assert by_mood is not None and by_mood.why == "mood" and "calm" in by_mood.words["en"]
    assert by_event is not None and by_event.why == "event"
    assert because([(calm, "encoder")], did([1, 2]), flat, None, ware_of=SHELF.get, lifts=None) == [None]
