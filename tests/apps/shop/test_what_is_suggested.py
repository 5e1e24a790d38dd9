"""Which wares a list has: sources, surfaces, merchants' rules, what was ignored, chance."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ikkan.apps.shop.rules.next_item import NextItem
from ikkan.apps.shop.rules.next_item.encoder import Encoder
from ikkan.apps.shop.rules.suggest import nearest
from ikkan.apps.shop.rules.suggest.person import IGNORED_MOST, SITTING_S, Listed, Person
from ikkan.apps.shop.rules.suggest.ranker import FEATURES, Ranker, fitted
from ikkan.apps.shop.service.replay import SHOP
from ikkan.apps.shop.service.suggesting.serving import NEXT_ITEM, Champion
from ikkan.apps.shop.values import Ask, Because, Happened, MerchantRule, Mood, Ware
from ikkan.ground.artifacts import ArtifactStore
from ikkan.ground.clock import FakeClock
from ikkan.ground.db import Database
from ikkan.ground.errors import BadInput
from ikkan.models.registry import Registry

from .conftest import LEAVES, Suggester, a_ware, suggester

DAY = 86_400.0


def kinds(products: Sequence[str]) -> Counter[int]:
    return Counter(int(each[1:]) % 4 for each in products)


# ---- a shop where nothing was learned --------------------------------------------------------------------------------


def test_a_shop_where_nothing_happened_shows_some_of_everything(shop: Suggester) -> None:
    assert len(shop.ids("ada", n=12)) == 12 and len(kinds(shop.ids("ada", n=12))) == 4
    assert shop.suggest(SHOP, Ask("ada")).model == "none"


def test_a_stranger_sees_what_many_want(shop: Suggester) -> None:
    for number in range(6):
        shop.did(f"p{number}", "bought", "w7", "w9")
    assert set(shop.ids("ada")[:2]) == {"w7", "w9"}


def test_what_goes_together_is_found_where_facets_say_nothing(shop: Suggester) -> None:
    for number in range(8):
        shop.did(f"p{number}", "viewed", "w1", "w30")
    assert "w30" in shop.ids("ada", "similar", product_ids=("w1",))[:3]
    shop.did("ada", "viewed", "w1")
    assert "w30" in shop.ids("ada")[:3]


def test_a_new_ware_is_shown_at_the_next_request_and_a_removed_one_no_more(shop: Suggester) -> None:
    shop.did("ada", "viewed", "w0", "w4")
    new = a_ware(77, product_id="brand-new", added_at=shop.clock.now())
    shop.put_wares(SHOP, [new])
    assert "brand-new" in shop.ids("ada")
    shop.remove_ware(SHOP, "brand-new")
    for person in ("ada", "bob", "eve"):
        assert "brand-new" not in shop.ids(person)
    assert shop.shelf(SHOP).ware("w1") is not None and shop.shelf(SHOP).ware("never") is None


def test_a_ware_deleted_in_the_middle_of_a_request_is_left_out(shop: Suggester) -> None:
    listed = shop.ids("ada")
    world = shop._shops[SHOP].world
    world.shelf.wares[world.shelf.row_of[listed[0]]] = None  # after candidates were found, before they are written out
    again = shop.ids("ada")
    assert listed[0] not in again and len(again) >= len(listed) - 1
    assert listed[0] not in shop.ids("ada", "search", product_ids=tuple(listed))


# ---- what they do not want -------------------------------------------------------------------------------------------


def test_what_was_bought_is_not_suggested_within_its_window(shop: Suggester, clock: FakeClock) -> None:
    shop.did("ada", "bought", "w1")
    assert "w1" not in shop.ids("ada", n=40)
    assert "w1" not in shop.ids("ada", "similar", product_ids=("w5",), n=40)
    clock.advance(100 * DAY)
    assert "w1" in shop.ids("ada", n=40)
    shop.put_rule(SHOP, MerchantRule("long", "bought_window", amount=365.0, category="Kitchen"))
    assert "w1" not in shop.ids("ada", n=40)


@pytest.mark.parametrize("deed", ["returned", "complained", "disliked"])
def test_what_was_rejected_and_its_like_go_down_at_once(shop: Suggester, deed: str) -> None:
    shop.did("ada", "viewed", "w1", "w2", "w5", "w6")
    before = kinds(shop.ids("ada", n=10))
    shop.did("ada", deed, "w9")
    after = shop.ids("ada", n=10)
    assert "w9" not in shop.ids("ada", n=40)
    assert kinds(after)[1] < before[1] and kinds(after)[2] >= before[2] - 1 > kinds(after)[1]


# ---- surfaces --------------------------------------------------------------------------------------------------------


def test_a_basket_is_completed_by_what_is_bought_with_it(shop: Suggester) -> None:
    for number in range(6):
        shop.did(f"p{number}", "bought", "w0", "w3")
    listed = shop.suggest(SHOP, Ask("ada", "basket", 5, ("w0",)))
    assert listed.places[0].ware.product_id == "w3" and "w0" not in [each.ware.product_id for each in listed.places]


def test_what_is_used_up_is_suggested_when_it_is_due(shop: Suggester, clock: FakeClock) -> None:
    for number in range(3):
        for days in (90, 60, 30):
            shop.did(f"p{number}", "bought", "w1", ago_s=days * DAY)
    shop.did("ada", "bought", "w1", "w2", ago_s=2 * DAY)
    assert shop.ids("ada", "replenish") == []
    clock.advance(28 * DAY)
    assert shop.ids("ada", "replenish") == ["w1"], "w2 is nothing that anybody buys again"


def test_a_search_keeps_what_it_found_and_changes_its_order(shop: Suggester) -> None:
    hits = tuple(f"w{number}" for number in range(16))
    plain = shop.ids("bob", "search", product_ids=hits, n=16)
    shop.did("ada", "viewed", "w23", "w27", "w31", "w35")
    own = shop.ids("ada", "search", product_ids=hits, n=16)
    assert sorted(own) == sorted(plain) == sorted(hits)
    assert own != plain and plain[0] == "w0"


# ---- merchants -------------------------------------------------------------------------------------------------------


def test_merchants_pin_bury_and_cap(shop: Suggester) -> None:
    shop.did("ada", "viewed", "w0", "w4")
    shop.put_rule(SHOP, MerchantRule("pin", "pin", amount=1, product_id="w39", surface="home"))
    shop.put_rule(SHOP, MerchantRule("bury", "bury", seller="seller 1"))
    shop.put_rule(SHOP, MerchantRule("cap", "cap", amount=2, of="category"))
    listed = shop.ids("ada")
    assert listed[1] == "w39"
    assert not [each for each in listed if int(each[1:]) % 3 == 1]
    assert max(kinds(listed).values()) <= 2
    ended = MerchantRule("pin", "pin", amount=0, product_id="w39", until=shop.clock.now() - timedelta(days=1))
    shop.put_rule(SHOP, ended)
    assert shop.ids("ada")[0] != "w39"


def test_a_margin_and_the_stock_count(shop: Suggester) -> None:
    shop.put_wares(SHOP, [a_ware(8, margin_share=0.9), a_ware(12, stock=0), a_ware(16, stock=2)])
    assert "w12" not in shop.ids("ada", n=40) and "w16" in shop.ids("ada", n=40)
    shop.put_rule(SHOP, MerchantRule("floor", "stock_floor", amount=5))
    shop.put_rule(SHOP, MerchantRule("margin", "margin", amount=9.0))
    assert "w16" not in shop.ids("ada", n=40)
    assert shop.ids("ada")[0] == "w8"


@pytest.mark.parametrize(
    "rule",
    [
        MerchantRule("r", "pin", amount=0),
        MerchantRule("r", "bury"),
        MerchantRule("r", "cap"),
        MerchantRule("r", "margin", amount=-1.0),
        MerchantRule("", "margin", amount=1.0),
    ],
    ids=lambda rule: rule.kind,
)
def test_a_rule_that_does_not_say_what_it_means_is_refused(shop: Suggester, rule: MerchantRule) -> None:
    with pytest.raises(BadInput):
        shop.put_rule(SHOP, rule)


# ---- again and again -------------------------------------------------------------------------------------------------


def test_a_page_loaded_again_is_the_same_and_the_next_page_is_new(shop: Suggester) -> None:
    shop.did("ada", "viewed", "w1", "w2")
    first = shop.suggest(SHOP, Ask("ada", n=8))
    assert shop.ids("ada") == [each.ware.product_id for each in first.places]
    second = shop.suggest(SHOP, Ask("ada", n=8, cursor=first.cursor))
    third = shop.suggest(SHOP, Ask("ada", n=8, cursor=second.cursor))
    pages = [[each.ware.product_id for each in page.places] for page in (first, second, third)]
    assert len({each for page in pages for each in page}) == sum(map(len, pages)) == 24


def test_what_is_shown_and_ignored_in_many_sittings_leaves_the_list(shop: Suggester, clock: FakeClock) -> None:
    top = shop.ids("ada", n=5)
    for _ in range(IGNORED_MOST):
        clock.advance(SITTING_S + 1)
        last = shop.ids("ada", n=5)
    assert not set(top) & set(last)
    clock.advance(4 * DAY)
    assert set(top) & set(shop.ids("ada", n=12)), "after a while it may come again"


def test_a_list_that_is_told_twice_counts_once() -> None:
    person = Person("ada")
    for at_s in (0.0, 5.0, 2 * SITTING_S):
        person.was_shown(Listed("i1", "home", at_s, (1, 2)))
    assert person.ignored("home", 3 * SITTING_S) == {1: 1, 2: 1}
    person.happened(Happened("e", "ada", "viewed", a_ware(0).added_at, "w1"), 1)
    assert person.ignored("home", 3 * SITTING_S) == {2: 1}


def test_asking_as_somebody_leaves_no_trace(shop: Suggester) -> None:
    shop.put_wares(SHOP, [a_ware(77, added_at=shop.clock.now())])
    tried = [shop.suggest(SHOP, Ask("ada", is_test=True)) for _ in range(3)]
    assert {place.propensity for made in tried for place in made.places} == {1.0}
    shop.flush()
    assert shop.report(SHOP, shop.clock.now() - timedelta(days=1)).surfaces == ()


# ---- with a model ----------------------------------------------------------------------------------------------------


class Model:
    """Lines the wares up on a circle; somebody wants what lies just after their last ware."""

    def __init__(self, count: int) -> None:
        self.item_ids = [f"w{number}" for number in range(count)]
        turns = 2 * np.pi * np.arange(count) / count
        self.vectors = np.stack([np.cos(turns), np.sin(turns)], 1).astype(np.float32)

    def encode(self, rows: Any, kinds: Any = None, ages_s: Any = None) -> Any:
        return self.vectors[(int(rows[-1]) + 3) % len(self.vectors)] * 9

    def encode_many(self, histories: Sequence[Any]) -> Any:
        return np.stack([self.encode(each) for each in histories])

    def place(self, attributes: Mapping[str, str]) -> Any:
        return np.zeros(2, np.float32)


def test_a_model_is_asked_and_a_ware_it_never_saw_is_placed_by_what_is_said_of_it(shop: Suggester) -> None:
    shop.use(Model(40), "sha256:abc")
    shop.did("ada", "viewed", "w20")
    made = shop.suggest(SHOP, Ask("ada", n=4))
    assert made.model == "sha256:abc"
    after_theirs = {f"w{number}" for number in range(21, 28)}
    assert len(after_theirs & {each.ware.product_id for each in made.places}) >= 2
    shop.did("bob", "viewed", "w39")
    shop.put_wares(SHOP, [a_ware(81, product_id="w81")])
    assert "w81" in shop.ids("bob"), "it lies among those it is like"
    assert shop.ids("bob", "similar", product_ids=("w81",))
    shop.use(None)
    assert shop.suggest(SHOP, Ask("ada")).model == "none"


def test_the_champion_serves_from_when_it_is_chosen(here: Database, clock: FakeClock, tmp_path: Path) -> None:
    registry, artifacts = Registry(here, clock), ArtifactStore(tmp_path / "artifacts")
    service = suggester(here, clock, tmp_path, models=Champion(registry, artifacts))
    service.put_wares(SHOP, [a_ware(number) for number in range(40)])
    assert service.suggest(SHOP, Ask("ada")).model == "none"
    rng = np.random.default_rng(0)
    weights = {
        "gaps": np.zeros((28, 4), np.float32), "kinds": np.zeros((8, 4), np.float32),
        "last_norm.weight": np.ones(4, np.float32), "last_norm.bias": np.zeros(4, np.float32),
    }  # fmt: skip
    encoder = Encoder(weights, heads=1, blocks=0, longest=10, timed=False, kinded=False)
    vectors = rng.standard_normal((40, 4)).astype(np.float32)
    model = NextItem(tuple(f"w{number}" for number in range(40)), vectors, encoder, {}, {})
    made = artifacts.put(model.to_files(), kind="next-item", source="test")
    with here.transaction() as connection:
        registry.register(connection, NEXT_ITEM, made.id)
        registry.promote(connection, NEXT_ITEM, made.id, "better")
    service._ask_for_model(now=True)  # as it does every two seconds, aside
    service.did("ada", "viewed", "w5")
    listed = service.suggest(SHOP, Ask("ada"))
    assert listed.model == made.id and listed.places
    service.flush()


def test_a_mood_steers_and_may_be_left_out(shop: Suggester) -> None:
    mood = Mood("gift", {"category=Garden": 1.0}, 0.0, 0.5, 0.5, 1.0, shop.clock.now())

    class Moods:
        def now(self, *_: Any, **__: Any) -> Mood:
            return mood

    def steer(scores: Any, wares: Sequence[Ware], dearness: Any, newness: Any, mood: Mood) -> Any:
        return scores + np.array([9.0 * (ware.category == "Garden > Seeds") for ware in wares], np.float32)

    shop.moods, shop.steer = Moods(), steer
    assert kinds(shop.ids("ada", n=4))[3] >= 2
    assert shop.suggest(SHOP, Ask("ada")).mood is mood
    assert shop.suggest(SHOP, Ask("ada", use_mood=False)).mood is None


def test_an_explainer_sees_what_each_event_does_to_each_place(shop: Suggester) -> None:
    shop.did("ada", "viewed", "w1", "w2", "w6", "w10")
    seen: list[Any] = []

    def explain(places: Any, events: Any, score: Any, mood: Any, **_: Any) -> list[Because | None]:
        kept = np.ones((1 + len(events), len(events)), np.bool_)
        kept[np.arange(1, len(kept)), np.arange(len(events))] = False
        seen.append((places, score(kept), [each.product_id for each in events]))
        return [None] * len(places)

    shop.explain = explain
    made = shop.suggest(SHOP, Ask("ada", n=8, is_test=True))
    ((places, odds, events),) = seen
    assert events == ["w1", "w2", "w6", "w10"]
    falls = odds[0] - odds[1:]
    coffee_or_tea = [at for at, (ware, _) in enumerate(places) if ware.category == LEAVES[2]]
    assert coffee_or_tea and falls[1:, coffee_or_tea].max() > falls[0, coffee_or_tea].max()
    told = 1 / (1 + np.exp(-odds[0]))
    assert np.allclose(told, [each.score for each in made.places], atol=1e-3), "the whole history gives the list's own"


def test_reasons_are_said_in_three_languages(shop: Suggester) -> None:
    shop.did("ada", "viewed", "w1")
    reasons = [each.because for each in shop.suggest(SHOP, Ask("ada")).places]
    assert all(each is not None and {"en", "ja", "zh"} <= set(each.words) for each in reasons)
    assert "w1" in {each.product_id for each in reasons if each is not None}
    assert {each.because for each in shop.suggest(SHOP, Ask("ada"), reasons=False).places} == {None}


# ---- parts -----------------------------------------------------------------------------------------------------------


def test_large_shelves_are_looked_at_in_part_and_late_wares_always(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nearest, "EXACT_MOST", 1_000)
    monkeypatch.setattr(nearest, "_PROBED_ROWS", 3_000)
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((40, 8)).astype(np.float32)
    vectors = centres[rng.integers(0, 40, 12_000)] + 0.3 * rng.standard_normal((12_000, 8)).astype(np.float32)
    near = nearest.Nearest(8)
    near.put(0, vectors)
    queries = vectors[:20]
    exact = near.top(queries, 50)
    assert near.needs_settling
    near.settle()
    assert not near.needs_settling
    found = near.top(queries, 50)
    share = np.mean([len(np.intersect1d(a, b)) / 50 for a, b in zip(exact, found, strict=True)])
    assert share > 0.9
    near.put(12_000, 9 * queries[:1])
    near.put(7, 9 * queries[:1])
    assert {7, 12_000} <= set(near.top(queries[:1], 50)[0].tolist())


def test_the_blend_learns_what_is_clicked_and_stays_near_its_defaults_without_evidence() -> None:
    rng = np.random.default_rng(1)
    features = rng.random((4_000, len(FEATURES))).astype(np.float32)
    odds = -2.0 + 3.0 * features[:, FEATURES.index("price")]
    clicked = rng.random(4_000) < 1 / (1 + np.exp(-odds))
    places = rng.integers(0, 8, 4_000)
    made = fitted(features, clicked, np.full(4_000, 3), places, strength=0.5)
    assert made.weights[3, 1 + FEATURES.index("price")] > 2.0
    assert (made.weights[:3] == Ranker().weights[:3]).all()
    told = 1 / (1 + np.exp(-(made.odds(features, 3) - made.fades[3] * np.log1p(places))))
    assert abs(float(told.mean()) - float(clicked.mean())) < 0.01, "what it says is how often it happens"
    few = fitted(features[:3], clicked[:3], np.full(3, 3), places[:3])
    assert np.abs(few.weights[3, 1:] - Ranker().weights[3, 1:]).max() < 0.2


def test_a_batch_gives_everybody_their_own_list(shop: Suggester) -> None:
    shop.did("ada", "viewed", "w1")
    shop.did("bob", "viewed", "w2")
    asks = [Ask(person, n=8, is_test=True) for person in ("ada", "bob", "eve")]
    together = [made.places for made in shop.suggest_many(SHOP, asks)]
    assert together == [shop.suggest(SHOP, ask).places for ask in asks]
