"""A reason in a model's words, where these say nothing but the reason.

A model may choose the words, never the facts. What it wrote is taken only if it names the product, does what the
reason says was done, and is otherwise made of words from a short list; else the template stands. The list is strict on
purpose: "because it is waterproof" must not come through, however well it is meant.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping

from ikkan.apps.shop.values import Because, Language

_MOST = 160
_EN = frozenset(
    """
    a about add added also and are as at back basket because before browse browsed browsing bought buy by
    carted cart caught chose chosen could did earlier enjoy eye first for from given glance good had has
    have here hello hi if in into is it just last lately like liked look looked looking looks match matches
    may might nice of on one once or our picked placed put recently recommend recommended saw see seeing
    seemed showing since so some something suggest suggested suggestion taken that thank thanks the this
    thought time to today together too took viewed viewing visit was we went were what when while will with
    would yes you your yours
    """.split()  # noqa: SIM905
)
_DEEDS: Mapping[str, Mapping[Language, tuple[str, ...]]] = {
    "viewed": {
        "en": ("looked", "looking", "viewed", "viewing", "saw", "browsed", "browsing", "glance", "look"),
        "ja": ("ご覧", "見", "閲覧", "チェック"),
        "zh": ("看", "浏览"),
    },
    "carted": {"en": ("basket", "cart", "carted"), "ja": ("カート", "かご", "バスケット"), "zh": ("购物车",)},
    "bought": {"en": ("bought", "buy"), "ja": ("購入", "買", "お求め"), "zh": ("买", "购买")},
}
_JA = (
    "おすすめ", "お勧め", "ご覧になった", "ご覧", "いただいた", "いただき", "ありがとうございます", "ため", "ので",
    "から", "こちら",
    "先ほど", "さきほど", "以前", "最近", "先日", "今日", "お客様", "あなた", "カート", "かご", "バスケット", "購入",
    "閲覧", "チェック",
    "見ていた", "見られた", "見た", "買われた", "買った", "お求め", "入れられた", "入れた", "入れ", "された",
    "なさった", "になった", "した",
    "して", "します", "しています", "ました", "ます", "です", "でした", "商品", "もの", "いかが", "でしょうか",
    "ご紹介", "この", "その",
    "に", "を", "は", "が", "の", "と", "も", "で", "へ", "て", "い", "よ", "ね",
)  # fmt: skip
_ZH = (
    "因为", "由于", "所以", "您", "你", "刚才", "刚刚", "之前", "以前", "最近", "曾经", "曾", "浏览", "查看", "看过",
    "看了", "看", "购物车",
    "加入", "放入", "放进", "购买", "买过", "买了", "买", "为您", "给您", "推荐", "这件", "这款", "这个", "商品",
    "过", "了", "的", "把", "到",
    "也", "还", "可能", "喜欢", "会", "我们", "向",
)  # fmt: skip
_MARKS = re.compile(r"[\s「」『』“”\"'‘’、。，．,.!！:：;；~〜()（）\-–—…]+")


def phrase(
    reason: Because, language: Language, name: str | None, deed: str, model: Callable[[str], str] | None = None
) -> str:
    """The reason in one sentence: the model's, if it says exactly the reason; the template otherwise.

    Args:
        name: of the product the reason names; reasons without one are never rephrased.
        deed: what was done with it.
        model: a prompt → its answer; what it raises is the caller's to catch.
    """
    template = reason.words[language]
    if model is None or name is None or deed not in _DEEDS:
        return template
    asked = (
        f"Say this reason in one short, friendly sentence in the same language, keep the name exactly, add nothing: "
        f"{template}"
    )
    answer = " ".join(model(asked).split())
    return answer if is_true(answer, language, name, deed) else template


def is_true(sentence: str, language: Language, name: str, deed: str) -> bool:
    """Whether a sentence names the product, tells the deed, and says nothing else.

    >>> is_true('Since you looked at "Mu Grinder", you may like this.', "en", "Mu Grinder", "viewed")
    True
    >>> is_true('You looked at "Mu Grinder", the best of 2024.', "en", "Mu Grinder", "viewed")
    False
    >>> is_true('You bought "Mu Grinder".', "en", "Mu Grinder", "viewed")
    False
    """
    text = unicodedata.normalize("NFC", sentence)
    if not name or text.count(name) != 1 or len(text) > _MOST + len(name):
        return False
    rest = text.replace(name, " ").casefold()
    told = {each for each, words in _DEEDS.items() if any(_has(rest, word, language) for word in words[language])}
    if told != {deed}:
        return False
    if language == "en":
        words = re.findall(r"[^\W\d_]+(?:['’][^\W\d_]+)?|\d+", _MARKS.sub(" ", rest.replace("you've", "you have")))
        return all(word in _EN for word in words) and not re.search(r"[^\w\s\"'‘’“”.,!:;()\-–—…]", rest)
    return _is_made_of(_MARKS.sub("", rest), _JA if language == "ja" else _ZH)


def _has(rest: str, word: str, language: Language) -> bool:
    return bool(re.search(rf"\b{word}\b", rest)) if language == "en" else word in rest


def _is_made_of(rest: str, known: tuple[str, ...]) -> bool:
    """Whether a text is nothing but known pieces put together."""
    reached = {0}
    for at in range(len(rest)):
        if at in reached:
            reached |= {at + len(piece) for piece in known if rest.startswith(piece, at)}
    return len(rest) in reached
