"""A mood from behaviour: which mode, which facets, how surely; what it rests on; what it never looks at."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from ikkan.apps.shop.rules.mood import THRESHOLD, WINDOW_S, infer
from ikkan.apps.shop.rules.mood.modes import LIKELIHOODS, Noticed, Tables, believe
from ikkan.apps.shop.rules.mood.sensitive import NEVER, is_sensitive
from ikkan.apps.shop.rules.mood.signals import facets_of
from ikkan.apps.shop.rules.mood.telling import described
from ikkan.apps.shop.values import LANGUAGES, MODES, Happened, Ware

NOW = datetime(2026, 5, 6, 20, 0, tzinfo=UTC)


def ware(name: str, category: str, price: int = 100, **more: Any) -> Ware:
    return Ware(name, name, category, price * 1_000_000, "JPY", NOW, **more)


SHELF = {
    each.product_id: each
    for each in [
        *(ware(f"grinder{n}", "Kitchen > Coffee", 100, brand="Mu", tags=("calm",)) for n in range(6)),
        *(ware(f"shirt{n}", "Clothes > Shirts", 50) for n in range(6)),
        *(ware(f"toy{n}", "Toys", 20) for n in range(3)),
        *(ware(f"lamp{n}", "Home > Light", 400) for n in range(3)),
        ware("pills", "Health > Vitamins", 30, tags=("diet",)),
        ware("bible", "Books > Religion", 30),
    ]
}
CHEAP_TEA = [ware(f"tea{n}", "Food > Tea", 30) for n in range(4)]
SHELF |= {each.product_id: each for each in CHEAP_TEA}


def did(*products: str, deed: str = "viewed", gap_s: float = 40.0, ago_s: float = 0.0, **more: Any) -> list[Happened]:
    """One deed with each product, the last `ago_s` seconds ago."""
    end = NOW - timedelta(seconds=ago_s)
    count = len(products)
    return [
        Happened(
            f"{deed}-{product}-{n}-{ago_s}",
            "me",
            deed,
            end - timedelta(seconds=gap_s * (count - 1 - n)),
            product,
            **more,
        )  # type: ignore[arg-type]
        for n, product in enumerate(products)
    ]


def searched(query: str) -> list[Happened]:
    return [Happened(f"s-{query}", "me", "searched", NOW - timedelta(seconds=200), query=query)]


LONG_AGO = did(*[f"shirt{n % 6}" for n in range(20)], ago_s=90_000)
BOUGHT = did("tea0", "tea1", "tea0", "tea2", "tea1", "tea0", deed="bought", ago_s=90_000)


@pytest.mark.parametrize(
    ("recent", "mode"),
    [
        (did("grinder1", "grinder2", "grinder1", "grinder2", "grinder1", dwell_s=45.0), "compare"),
        (did("grinder1", "shirt2", "toy1", "lamp1", "shirt3", "toy2", gap_s=6.0, dwell_s=3.0), "explore"),
        (did("toy0", "toy1", deed="bought", used_coupon=True) + did("tea1"), "deal"),
        (searched("誕生日プレゼント") + did("lamp0", "grinder1", "lamp2"), "gift"),
        (BOUGHT + did("tea0", "tea1", "tea2", deed="carted"), "replenish"),
        (searched("burr grinder steel") + did("grinder1", "grinder2", "grinder3"), "goal"),
    ],
)
def test_each_mode_is_told_from_what_is_done(recent: Sequence[Happened], mode: str) -> None:
    mood = infer(recent, SHELF.get, NOW)
    assert mood is not None
    assert mood.mode == mode
    assert sum(mood.modes.values()) == pytest.approx(1.0)
    assert set(mood.modes) == set(MODES)


def test_what_is_looked_at_more_than_usual_is_wanted_and_the_usual_is_not() -> None:
    mood = infer(LONG_AGO + did(*[f"grinder{n}" for n in range(5)], "shirt0"), SHELF.get, NOW)
    assert mood is not None
    assert mood.facets["category=Kitchen > Coffee"] > 0.6
    assert mood.facets["tag=calm"] > 0.6
    assert mood.facets.get("category=Clothes > Shirts", 0.0) <= 0
    assert mood.novelty > 0.6
    assert mood.confidence > THRESHOLD
    assert "Coffee" in described(mood, "en")


def test_dearer_and_cheaper_are_told_by_the_persons_own_prices() -> None:
    dear = infer(LONG_AGO + did("lamp0", "lamp1", "lamp2"), SHELF.get, NOW)
    cheap = infer(LONG_AGO + did("toy0", "toy1", "toy2"), SHELF.get, NOW)
    stranger = infer(did("lamp0", "lamp1", "lamp2"), SHELF.get, NOW)
    assert dear is not None and cheap is not None and stranger is not None
    assert dear.price_bias > 0.5 > 0 > cheap.price_bias
    assert stranger.price_bias == 0


def test_a_thing_that_is_disliked_is_not_wanted() -> None:
    mood = infer(did("lamp0", deed="disliked") + did("grinder1", "grinder2"), SHELF.get, NOW)
    assert mood is not None
    assert mood.facets["category=Home > Light"] < 0 < mood.facets["category=Kitchen > Coffee"]


def test_confidence_grows_with_what_is_seen() -> None:
    sure = [infer(did(*[f"grinder{n}" for n in range(count)]), SHELF.get, NOW) for count in (1, 3, 6)]
    told = [mood.confidence for mood in sure if mood is not None]
    assert told == sorted(told) and len(told) == 3 and told[0] < told[-1]


def test_a_mood_ends_half_an_hour_after_the_last_event() -> None:
    recent = did("grinder1", "grinder2")
    mood = infer(recent, SHELF.get, NOW)
    assert mood is not None and mood.expires_at == NOW + timedelta(seconds=WINDOW_S)
    assert infer(recent, SHELF.get, mood.expires_at + timedelta(seconds=1)) is None
    assert infer([], SHELF.get, NOW) is None


def test_evidence_names_the_events_in_three_languages() -> None:
    recent = did("grinder1", "grinder2", "grinder1")
    mood = infer(recent, SHELF.get, NOW)
    assert mood is not None
    ids = {event.event_id for event in recent}
    assert mood.evidence
    for each in mood.evidence:
        assert set(each.words) == set(LANGUAGES) and all(each.words.values())
        assert set(each.event_ids) <= ids and each.event_ids


@pytest.mark.parametrize("word", [word for words in NEVER.values() for word in words])
def test_every_sensitive_word_is_seen_in_a_facet(word: str) -> None:
    assert is_sensitive(f"tag={word}") and is_sensitive(f"category=Things > {word.title()}")


@pytest.mark.parametrize(
    "fine", ["colour=red", "category=Kitchen > Coffee", "tag=calm", "brand=Essex", "素材=木", "颜色=红"]
)
def test_ordinary_facets_are_not_taken_for_sensitive(fine: str) -> None:
    assert not is_sensitive(fine)


def test_nothing_sensitive_is_in_a_mood_whatever_was_looked_at() -> None:
    mood = infer(did("pills", "pills", "bible", "grinder1", "bible", "pills"), SHELF.get, NOW)
    assert mood is not None
    assert not any(is_sensitive(facet) for facet in mood.facets)
    told = " ".join(words for each in mood.evidence for words in each.words.values())
    assert "Vitamins" not in told and "Religion" not in told and not is_sensitive(told)
    assert facets_of(SHELF["pills"]) == ()


def test_modes_drawn_from_the_tables_are_found_with_honest_chances() -> None:
    """The filter on its own model: what it believes at 60 % is so in about 60 of 100 cases."""
    rng = np.random.default_rng(3)
    tables = Tables(temper=1.0, half_life_s=1e9)
    believed, right = [], []
    for _ in range(400):
        truth = int(rng.choice(len(MODES), p=np.asarray(tables.prior)))
        noticed = []
        for n in range(5):
            signals = {}
            for name in ("step", "dwell", "price"):
                values = list(LIKELIHOODS[name])
                chances = np.asarray([LIKELIHOODS[name][value][truth] for value in values])
                signals[name] = values[int(rng.choice(len(values), p=chances / chances.sum()))]
            noticed.append(Noticed(str(n), NOW, signals))
        modes = believe(noticed, NOW, tables=tables)
        best = max(modes, key=lambda mode: modes[mode])
        believed.append(modes[best])
        right.append(best == MODES[truth])
    assert np.mean(right) > 0.45
    assert abs(np.mean(believed) - np.mean(right)) < 0.12
