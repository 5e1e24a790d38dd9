"""The words of reasons: ja, en, zh. `{name}` is a product's own name."""

from __future__ import annotations

from collections.abc import Mapping

from ikkan.apps.shop.rules.mood.signals import facets_of
from ikkan.apps.shop.rules.mood.telling import MODES_TOLD, SAYS
from ikkan.apps.shop.values import LANGUAGES, Mood, Ware

_Words = Mapping[str, str]

DEEDS_TOLD: Mapping[str, _Words] = {
    "viewed": {
        "ja": "「{name}」をご覧になったため",
        "en": "Because you looked at “{name}”",
        "zh": "因为您看过“{name}”",
    },
    "carted": {
        "ja": "「{name}」をカートに入れたため",
        "en": "Because you put “{name}” into your basket",
        "zh": "因为您把“{name}”加入了购物车",
    },
    "bought": {"ja": "「{name}」を購入されたため", "en": "Because you bought “{name}”", "zh": "因为您买过“{name}”"},
}
"""Only what brings somebody nearer to a thing is a reason for it."""
AGAIN: _Words = {
    "ja": "以前「{name}」を購入されたため",
    "en": "Because you bought “{name}” before",
    "zh": "因为您以前买过“{name}”",
}
POPULAR: _Words = {"ja": "今よく選ばれているため", "en": "Because it is popular now", "zh": "因为它现在很受欢迎"}
NEW: _Words = {"ja": "新しく入荷したため", "en": "Because it is new here", "zh": "因为它是新上架的"}
PINNED: _Words = {"ja": "お店のおすすめです", "en": "Chosen by the shop", "zh": "店家推荐"}
_MOOD: _Words = {
    "ja": "今の気分に合わせて: {name}",
    "en": "Because of what you seem to want now: {name}",
    "zh": "因为您现在的心情：{name}",
}
_MOOD_SAID: _Words = {
    "ja": "お伝えいただいた気分に合わせて: {name}",
    "en": "Because you said what you want: {name}",
    "zh": "因为您说了想要：{name}",
}


def filled(words: _Words, ware: Ware) -> dict[str, str]:
    """The words with a ware's name in them, as each reader reads it."""
    return {language: text.replace("{name}", short(ware.name_in(language))) for language, text in words.items()}


def short(name: str) -> str:
    """A name, cut where it is longer than a line."""
    return name if len(name) <= 80 else f"{name[:79]}…"


def of_mood(ware: Ware, mood: Mood) -> dict[str, str]:
    """What of the mood fits this ware; its mode where no facet does."""
    fits = [facet for facet in facets_of(ware) if mood.facets.get(facet, 0.0) > 0]
    best = max(fits, key=lambda facet: mood.facets[facet], default="")
    value = best.partition("=")[2].rpartition(">")[2].strip()
    words = _MOOD_SAID if mood.is_said else _MOOD
    made: dict[str, str] = {}
    for language in LANGUAGES:
        cheap = SAYS["cheaper"][language] if mood.price_bias <= -0.25 else MODES_TOLD[mood.mode][language]
        made[language] = words[language].replace("{name}", short(value or cheap))
    return made
