"""A mood that was said: a chip that was pressed, or a sentence in Japanese, English or Chinese.

Tables of words first; where the house has an embedding model, what the tables do not know is compared with the shop's
own facets by meaning. Nothing sensitive is heard, however it is said.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from ikkan.apps.shop.rules.mood.sensitive import is_sensitive
from ikkan.apps.shop.values import Evidence, Mode, Mood

SAID_FOR_S = 7_200.0
"""How long what was said holds."""
NEAR = 0.45
"""Cosine from which a facet counts as meant."""


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a word adds to a mood."""

    mode: Mode | None = None
    facets: Mapping[str, float] = field(default_factory=dict)
    price: float = 0.0
    novelty: float | None = None
    energy: float | None = None


_MEANINGS: Sequence[tuple[tuple[str, ...], Meaning]] = (
    (("calm", "quiet", "relaxing", "peaceful", "soothing", "cozy", "cosy", "gentle", "落ち着", "静か", "癒", "穏やか",
      "ゆったり", "リラックス", "安静", "平静", "放松", "宁静", "治愈"), Meaning(facets={"tag=calm": 1.0}, energy=0.1)),
    (("lively", "fun", "exciting", "energetic", "party", "bright", "vivid", "にぎやか", "楽しい", "元気", "派手",
      "明るい",
      "ワクワク", "わくわく", "热闹", "有趣", "活泼", "刺激", "开心"), Meaning(facets={"tag=lively": 1.0}, energy=0.9)),
    (("cheap", "cheaper", "inexpensive", "affordable", "budget", "low price", "安い", "安く", "お手頃", "手頃",
      "リーズナブル",
      "便宜", "实惠", "平价"), Meaning(price=-0.8)),
    (("deal", "deals", "discount", "sale", "bargain", "coupon", "on offer", "お得", "セール", "割引", "クーポン",
      "特売",
      "打折", "优惠", "特价", "促销"), Meaning("deal", price=-0.5)),
    (("luxury", "luxurious", "premium", "expensive", "high end", "high-end", "best quality", "高級", "贅沢", "上質",
      "高い",
      "いいもの", "高档", "奢侈", "高端", "贵"), Meaning(price=0.8)),
    (("gift", "gifts", "present", "for my friend", "for a friend", "birthday", "贈り物", "プレゼント", "ギフト",
      "お祝い", "誕生日",
      "手土産", "礼物", "送礼", "生日", "送人", "送给"), Meaning("gift")),
    (("new", "something new", "different", "surprise me", "unusual", "never tried", "新しい", "違う", "変わった",
      "珍しい",
      "意外", "新鲜", "不一样", "新品", "没试过"), Meaning("explore", novelty=0.95)),
    (("browse", "browsing", "look around", "just looking", "inspire", "inspiration", "見て回", "眺め", "ぶらぶら",
      "随便看",
      "逛逛", "看看"), Meaning("explore", novelty=0.8)),
    (("usual", "same as always", "again", "refill", "restock", "running out", "run out", "ran out", "いつもの",
      "買い足",
      "補充", "また同じ", "なくなりそう", "切れそう", "老样子", "补货", "再买", "快用完", "用完了"),
      Meaning("replenish", novelty=0.05)),
    (("compare", "comparing", "which is better", "versus", "difference between", "比べ", "比較", "どっち", "どちら",
      "违い",
      "対比", "比较", "对比", "哪个好"), Meaning("compare")),
    (("need", "looking for", "in a hurry", "quickly", "exactly", "探して", "急い", "すぐ", "欲しい", "ほしい", "必要",
      "急需",
      "马上", "想要", "需要"), Meaning("goal")),
)  # fmt: skip

_NOT = re.compile(
    r"(?:\bnot(?: too| very| so)?|\bno|\bnothing|\bwithout|\bdon't want(?: anything)?|\bisn't)\s+$"
    r"|(?:不要|不想要|别|不太|不)$"
)
_NOT_AFTER = re.compile(r"^(?:ない|なく|かない|くない|くなく|ではない|じゃない|はいらない|以外|なのは(?:いや|嫌))")
_COLOURS: Mapping[str, tuple[str, ...]] = {
    "red": ("red", "赤い", "赤", "红色"),
    "blue": ("blue", "青い", "青", "蓝色"),
    "green": ("green", "緑", "绿色"),
    "black": ("black", "黒い", "黒", "黑色"),
    "white": ("white", "白い", "白", "白色"),
    "pink": ("pink", "ピンク", "粉色"),
    "yellow": ("yellow", "黄色い", "黄色"),
    "brown": ("brown", "茶色", "棕色"),
}

CHIPS: Mapping[str, tuple[Mapping[str, str], Meaning]] = {
    "calm": ({"ja": "落ち着く", "en": "Calm", "zh": "安静"}, Meaning(facets={"tag=calm": 1.0}, energy=0.1)),
    "lively": ({"ja": "にぎやか", "en": "Lively", "zh": "热闹"}, Meaning(facets={"tag=lively": 1.0}, energy=0.9)),
    "cheap": ({"ja": "お手頃", "en": "Good price", "zh": "实惠"}, Meaning("deal", price=-0.8)),
    "premium": ({"ja": "上質", "en": "Finer", "zh": "高档"}, Meaning(price=0.8)),
    "gift": ({"ja": "贈り物", "en": "A gift", "zh": "送礼"}, Meaning("gift")),
    "new": ({"ja": "新しいもの", "en": "Something new", "zh": "新鲜的"}, Meaning("explore", novelty=0.95)),
    "usual": ({"ja": "いつもの", "en": "The usual", "zh": "常买的"}, Meaning("replenish", novelty=0.05)),
}
"""What can be pressed: name → its words, and what it means."""


def heard(
    said: str,
    at: datetime,
    *,
    facets: Sequence[str] = (),
    embed: Callable[[Sequence[str]], NDArray[np.float32]] | None = None,
) -> Mood | None:
    """The mood in a chip's name or a sentence; None where nothing in it is about wanting something.

    Args:
        facets: what the shop's wares can be, `name=value`; only these and the tables' own can be wanted.
        embed: the house's embedding model; asked only about the shop's facets, and only where the tables and the
            facets' own names leave the sentence without one.

    >>> from datetime import UTC
    >>> now = datetime(2026, 5, 6, tzinfo=UTC)
    >>> mood = heard("something calm and cheap", now)
    >>> mood.facets, mood.price_bias, round(mood.energy, 2)
    ({'tag=calm': 1.0}, -0.8, 0.1)
    >>> [heard(text, now).mode for text in ("gift", "送礼物", "いつものコーヒーを買い足したい")]
    ['gift', 'gift', 'replenish']
    >>> heard("落ち着いた安いもの", now).facets, heard("not cheap", now).price_bias
    ({'tag=calm': 1.0}, 0.8)
    >>> heard("qwerty", now) is None
    True
    """
    text = " ".join(unicodedata.normalize("NFKC", said).casefold().split())[:400]
    chip = CHIPS.get(text)
    meanings = [(chip[1], 1.0)] if chip else _meanings(text)
    wanted: dict[str, float] = {}
    price, novelty, energy, mode = 0.0, 0.5, 0.5, None
    for meaning, sign in meanings:
        wanted |= {facet: sign * want for facet, want in meaning.facets.items()}
        price += sign * meaning.price
        novelty = novelty if meaning.novelty is None else 0.5 + sign * (meaning.novelty - 0.5)
        energy = energy if meaning.energy is None else 0.5 + sign * (meaning.energy - 0.5)
        mode = mode or (meaning.mode if sign > 0 else None)
    if not chip:
        wanted |= _named(text, facets)
        if embed is not None and facets and not wanted and not is_sensitive(text):
            wanted |= _meant(text, facets, embed)
    if not (wanted or meanings):
        return None
    return Mood(
        mode=mode or ("deal" if price < 0 and not wanted else "goal" if wanted else "explore"),
        facets={facet: want for facet, want in wanted.items() if not is_sensitive(facet)},
        price_bias=min(max(price, -1.0), 1.0),
        novelty=novelty,
        energy=energy,
        confidence=1.0,
        expires_at=at + timedelta(seconds=SAID_FOR_S),
        evidence=(Evidence({"ja": "あなたが伝えたこと", "en": "You said so", "zh": "这是您说的"}),),
        is_said=True,
    )


def _meanings(text: str) -> list[tuple[Meaning, float]]:
    found: list[tuple[Meaning, float]] = []
    for words, meaning in _MEANINGS:
        place = next((at for word in words if (at := _find(text, word)) is not None), None)
        if place is not None:
            begin, end = place
            is_not = _NOT.search(text[:begin]) or _NOT_AFTER.search(text[end:])
            found.append((meaning, -1.0 if is_not else 1.0))
    return found


def _named(text: str, facets: Sequence[str]) -> dict[str, float]:
    """Facets that are named: by their own value, or a colour by its name in another language."""
    found: dict[str, float] = {}
    for facet in facets:
        name, _, value = facet.partition("=")
        value = value.rpartition(">")[2].strip().casefold()
        words = (value, *_COLOURS.get(value, ())) if name in {"colour", "color", "色"} else (value,)
        for word in words:
            place = _find(text, word) if len(word) > 1 or not word.isascii() else None
            if place is not None:
                is_not = _NOT.search(text[: place[0]]) or _NOT_AFTER.search(text[place[1] :])
                found[facet] = -1.0 if is_not else 1.0
                break
        if len(found) == 8:
            break
    return found


def _meant(text: str, facets: Sequence[str], embed: Callable[[Sequence[str]], NDArray[np.float32]]) -> dict[str, float]:
    vectors = embed([text, *(facet.partition("=")[2] for facet in facets)])
    near = vectors[1:] @ vectors[0]
    best = np.argsort(-near)[:3]
    return {facets[n]: float(near[n]) for n in best if near[n] >= NEAR}


def _find(text: str, word: str) -> tuple[int, int] | None:
    """Where a word stands: whole where letters are Latin, anywhere else otherwise."""
    if not word:
        return None
    if word.isascii():
        found = re.search(rf"(?<![a-z0-9]){re.escape(word)}(?![a-z0-9])", text)
        return found.span() if found else None
    at = text.find(word)
    return None if at < 0 else (at, at + len(word))
