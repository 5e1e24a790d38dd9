"""A mood that is said in three languages, and what a mood does to scores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from ikkan.apps.shop.rules.mood import CHIPS, THRESHOLD, FacetTable, exploration_share, heard, steer
from ikkan.apps.shop.rules.mood.steering import Seen, towards
from ikkan.apps.shop.values import LANGUAGES, MODES, Mood, Ware

NOW = datetime(2026, 5, 6, 20, 0, tzinfo=UTC)
WARES = [
    Ware("candle", "Candle", "Home", 10, "JPY", NOW, tags=("calm",)),
    Ware("drum", "Drum", "Toys", 90, "JPY", NOW, tags=("lively",), attributes={"colour": "red"}),
    Ware("cup", "Cup", "Kitchen", 40, "JPY", NOW, attributes={"colour": "blue"}),
]
FACETS = list(FacetTable(WARES).columns)
MOOD = Mood("goal", {"tag=calm": 1.0}, -0.8, 0.5, 0.5, 0.9, NOW + timedelta(hours=1))


def test_a_sentence_in_any_language_is_the_same_mood() -> None:
    for text in ("something calm and cheap", "落ち着いた安いもの", "安静又便宜的东西"):
        mood = heard(text, NOW, facets=FACETS)
        assert mood is not None and mood.is_said and mood.confidence == 1
        assert mood.facets == {"tag=calm": 1.0} and mood.price_bias < -0.5 and mood.energy < 0.5


@pytest.mark.parametrize(
    ("text", "mode"),
    [
        ("a present for my sister", "gift"), ("友達への誕生日プレゼント", "gift"), ("送礼物给妈妈", "gift"),
        ("show me something new", "explore"), ("ちょっと変わったもの", "explore"), ("随便看看", "explore"),
        ("the usual, we are running out", "replenish"), ("いつものを買い足したい", "replenish"), ("咖啡快用完了",
        "replenish"),
        ("any deals?", "deal"), ("セールのもの", "deal"), ("有什么优惠", "deal"),
        ("which is better", "compare"), ("どっちがいいか比べたい", "compare"), ("哪个好", "compare"),
        ("I need a red one", "goal"), ("赤いのが欲しい", "goal"), ("急需红色的", "goal"),
    ],
)  # fmt: skip
def test_the_mode_is_heard(text: str, mode: str) -> None:
    mood = heard(text, NOW, facets=FACETS)
    assert mood is not None and mood.mode == mode


@pytest.mark.parametrize("text", ["not cheap", "安くないもの", "不便宜"])
def test_no_is_heard(text: str) -> None:
    mood = heard(text, NOW, facets=FACETS)
    assert mood is not None and mood.price_bias > 0


def test_the_shops_own_facets_are_heard_by_name_and_in_other_languages() -> None:
    for text in ("a red one", "赤いもの", "红色的"):
        mood = heard(text, NOW, facets=FACETS)
        assert mood is not None and mood.facets == {"colour=red": 1.0}
    not_red = heard("anything, not red", NOW, facets=FACETS)
    assert not_red is not None and not_red.facets == {"colour=red": -1.0}


def test_what_the_tables_do_not_know_is_compared_by_meaning() -> None:
    def embed(texts: Sequence[str]) -> np.ndarray:
        return np.asarray(
            [[1.0, 0.0] if text in {"percussion", "lively"} else [0.0, 1.0] for text in texts], np.float32
        )

    mood = heard("percussion", NOW, facets=FACETS, embed=embed)
    assert mood is not None and mood.facets == {"tag=lively": 1.0}
    assert heard("percussion", NOW, facets=FACETS) is None


@pytest.mark.parametrize("text", ["qwerty", "", "something for my depression", "イスラム教の", "カートはどこ？"])
def test_nothing_is_made_up_and_nothing_sensitive_is_heard(text: str) -> None:
    mood = heard(text, NOW, facets=[*FACETS, "tag=depression", "tag=イスラム教"])
    assert mood is None or not mood.facets


def test_every_chip_has_words_and_a_meaning() -> None:
    for name, (words, _) in CHIPS.items():
        assert set(words) == set(LANGUAGES)
        assert heard(name, NOW) is not None


def test_below_the_threshold_nothing_moves() -> None:
    scores = np.asarray([0.1, 0.3, 0.2], np.float32)
    weak = replace(MOOD, confidence=THRESHOLD - 0.01)
    assert towards(scores, WARES, None, None, weak) is scores
    assert exploration_share(0.1, weak) == 0.1
    assert steer(scores, Seen(np.ones(3, np.float32)), None) is scores


def test_what_is_wanted_rises_and_what_is_not_falls() -> None:
    scores = np.asarray([0.1, 0.3, 0.2], np.float32)
    dear = np.log(np.asarray([10, 90, 40], np.float32) / 40)
    for mood in (MOOD, replace(MOOD, confidence=THRESHOLD), replace(MOOD, is_said=True)):
        moved = towards(scores, WARES, dear, None, mood)
        assert moved[0] - scores[0] > moved[2] - scores[2] > moved[1] - scores[1]
    not_calm = replace(MOOD, facets={"tag=calm": -1.0}, price_bias=0.0)
    assert towards(scores, WARES, None, None, not_calm)[0] < scores[0]


def test_a_surer_mood_moves_further_and_scale_does_not_matter() -> None:
    scores = np.asarray([0.1, 0.3, 0.2], np.float32)
    gains = [
        float((towards(scores, WARES, None, None, replace(MOOD, confidence=sure)) - scores)[0])
        for sure in (0.5, 0.7, 1.0)
    ]
    assert gains == sorted(gains) and 0 < gains[0] < gains[2]
    tenfold = towards(10 * scores, WARES, None, None, MOOD)
    assert np.allclose(tenfold, 10 * towards(scores, WARES, None, None, MOOD), atol=1e-5)


def test_modes_share_out_exploration_as_documented() -> None:
    shares = {mode: exploration_share(0.2, replace(MOOD, mode=mode)) for mode in MODES}
    assert shares["explore"] > 0.2 > shares["goal"] > shares["replenish"] >= 0
    assert max(exploration_share(0.5, replace(MOOD, mode=mode)) for mode in MODES) <= 0.5


def test_a_table_of_wares_says_the_same_as_each_ware() -> None:
    table = FacetTable(WARES)
    wanted = {"tag=calm": 0.6, "category=Home": 0.6, "colour=red": -0.5, "tag=unknown": 1.0}
    assert table.wanted(wanted).tolist() == pytest.approx([1.0, -0.5, 0.0])
    rows = np.asarray([2, 0, 0])
    assert table.wanted(wanted, rows).tolist() == pytest.approx([0.0, 1.0, 1.0])
    assert table.shares()["tag=calm"] == pytest.approx(1 / 3)


def test_candidates_are_steered_as_the_table_has_them() -> None:
    table, scores = FacetTable(WARES), np.asarray([0.1, 0.3, 0.2], np.float32)
    for facets in ({"tag=calm": 0.6, "category=Home": 0.6, "colour=red": -0.5}, {"colour=blue": 1.0, "brand=Mu": 1.0}):
        mood = replace(MOOD, facets=facets)
        by_table = steer(scores, Seen(table.wanted(facets), energy=table.energy), mood)
        assert towards(scores, WARES, None, None, mood).tolist() == by_table.tolist()
