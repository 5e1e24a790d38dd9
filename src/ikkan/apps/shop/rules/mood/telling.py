"""What a mood is called, and what it rests on, in a shopper's words: ja, en, zh."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ikkan.apps.shop.rules.mood.modes import Noticed
from ikkan.apps.shop.rules.mood.saying import CHIPS
from ikkan.apps.shop.rules.mood.sensitive import is_sensitive
from ikkan.apps.shop.rules.mood.signals import WareOf
from ikkan.apps.shop.rules.mood.steering import strength
from ikkan.apps.shop.values import Evidence, Happened, Language, Mood

MODES_TOLD: Mapping[str, Mapping[str, str]] = {
    "goal": {"ja": "目当ての品を探している", "en": "Looking for something in particular", "zh": "在找特定的商品"},
    "explore": {"ja": "いろいろ見て回っている", "en": "Looking around", "zh": "随便看看"},
    "compare": {"ja": "比べている", "en": "Comparing", "zh": "正在比较"},
    "deal": {"ja": "お得なものを探している", "en": "Looking for a good price", "zh": "在找优惠"},
    "gift": {"ja": "贈り物を選んでいる", "en": "Choosing a gift", "zh": "在挑礼物"},
    "replenish": {"ja": "いつもの品を買い足している", "en": "Buying the usual again", "zh": "补买常用品"},
}

SAYS: Mapping[str, Mapping[str, str]] = {
    "title": {"ja": "今の気分", "en": "What you seem to want now", "zh": "您现在的心情"},
    "none": {
        "ja": "今は特に読み取っていません。",
        "en": "Nothing in particular just now.",
        "zh": "目前没有特别的判断。",
    },
    "off": {
        "ja": "気分はおすすめに使っていません。",
        "en": "Your mood is not used for suggestions.",
        "zh": "推荐不使用您的心情。",
    },
    "turn_off": {"ja": "使わない", "en": "Turn off", "zh": "关闭"},
    "turn_on": {"ja": "使う", "en": "Turn on", "zh": "开启"},
    "weak": {
        "ja": "まだはっきりしないので、順番は変えていません。",
        "en": "Not sure enough yet: it changes nothing.",
        "zh": "还不够确定，未影响排序。",
    },
    "said": {"ja": "あなたが伝えたこと", "en": "You said so", "zh": "这是您说的"},
    "inferred": {
        "ja": "この30分の行動から",
        "en": "From the last half hour here",
        "zh": "根据最近半小时的行为",
    },
    "say": {"ja": "気分を伝える", "en": "Say what you want", "zh": "告诉我们您想要什么"},
    "placeholder": {
        "ja": "例: 落ち着いた安いもの",
        "en": "for example: something calm and cheap",
        "zh": "例如：安静又便宜的",
    },
    "send": {"ja": "伝える", "en": "Say", "zh": "告诉"},
    "why": {"ja": "この商品が出ている理由", "en": "Why am I seeing this?", "zh": "为什么看到这个？"},
    "wants": {"ja": "求めているもの", "en": "Wanted", "zh": "想要"},
    "less": {"ja": "避けたいもの", "en": "Not wanted", "zh": "不想要"},
    "cheaper": {"ja": "いつもより手頃", "en": "cheaper than usual", "zh": "比平时便宜"},
    "dearer": {"ja": "いつもより上質", "en": "dearer than usual", "zh": "比平时贵"},
    "new": {"ja": "新しいもの", "en": "something new", "zh": "新鲜的"},
    "same": {"ja": "いつものもの", "en": "the usual", "zh": "常买的"},
    "calm": {"ja": "落ち着いたもの", "en": "calm", "zh": "安静的"},
    "lively": {"ja": "にぎやかなもの", "en": "lively", "zh": "热闹的"},
}
"""What a panel says."""

_LISTS = {"ja": "、", "en": ", ", "zh": "、"}


@dataclass(frozen=True, slots=True)
class Showing:
    """What a window showed, in numbers."""

    wanted: Mapping[str, float]
    length: float
    """Events with a product, each counted less the longer ago."""
    concentration: float
    """The share of the facet that most of them have."""
    price: float
    shift: float
    """How far from the usual, 0 to 1."""
    energy: float


def evidence(
    window: Sequence[Happened], noticed: Sequence[Noticed], ware_of: WareOf, seen: Showing
) -> tuple[Evidence, ...]:
    """What a mood rests on, each with the events that show it. Nothing that did not happen, nothing sensitive."""
    told: list[Evidence] = []
    kinds: dict[str, list[str]] = {}
    for event in window:
        ware = ware_of(event.product_id or "")
        if ware is not None and ware.category and event.deed in {"viewed", "carted", "bought"}:
            kinds.setdefault(ware.category, []).append(event.event_id)
    plain = {kind: ids for kind, ids in kinds.items() if not is_sensitive(kind)}
    if plain:
        kind, ids = max(plain.items(), key=lambda each: len(each[1]))
        name = kind.rpartition(">")[2].strip()
        words: Mapping[str, str] = {
            "ja": f"「{name}」の商品を{len(ids)}回見た",
            "en": f"{len(ids)} × something in “{name}”",
            "zh": f"看了“{name}”类商品{len(ids)}次",
        }
        told.append(Evidence(words, tuple(ids)))
    for signal, value, words in _TOLD:
        ids = [each.event_id for each in noticed if each.signals.get(signal) == value]
        if len(ids) >= (2 if signal in {"price", "known"} else 1):
            told.append(Evidence(words, tuple(ids)))
    far = [each.event_id for each in noticed if each.signals.get("step") == "far"]
    if len(far) >= 2:
        words = {"ja": "別の種類へ次々に移った", "en": "From one kind to another", "zh": "在不同类别间跳转"}
        told.append(Evidence(words, tuple(far)))
    return tuple(told)


_TOLD: tuple[tuple[str, str, Mapping[str, str]], ...] = (
    ("step", "again", {"ja": "同じ商品をもう一度見た", "en": "Went back to the same thing", "zh": "又看了同一件商品"}),
    ("saving", "coupon", {"ja": "クーポンを使った", "en": "Used a coupon", "zh": "使用了优惠券"}),
    ("words", "deal", {"ja": "お得なものを検索した", "en": "Searched for a good price", "zh": "搜索了优惠"}),
    ("words", "gift", {"ja": "贈り物を検索した", "en": "Searched for a gift", "zh": "搜索了礼物"}),
    ("words", "compare", {"ja": "比較を検索した", "en": "Searched for a comparison", "zh": "搜索了对比"}),
    ("price", "cheap", {"ja": "いつもより安いものを見た", "en": "Cheaper things than usual",
    "zh": "看了比平时便宜的商品"}),
    ("price", "dear", {"ja": "いつもより高いものを見た", "en": "Dearer things than usual", "zh": "看了比平时贵的商品"}),
    (
        "known",
        "bought before",
        {"ja": "前に買ったものを見た", "en": "Things bought before", "zh": "看了以前买过的商品"},
    ),
)  # fmt: skip


def described(mood: Mood, language: Language) -> str:
    """A mood in one line.

    >>> from datetime import UTC, datetime
    >>> later = datetime(2026, 1, 1, tzinfo=UTC)
    >>> described(Mood("gift", {"tag=calm": 0.9}, -0.6, 0.5, 0.5, 0.9, later), "en")
    'Choosing a gift: calm, cheaper than usual'
    """
    parts = [facet.partition("=")[2] for facet, want in mood.facets.items() if want > 0][:4]
    if abs(mood.price_bias) >= 0.25:
        parts.append(SAYS["cheaper" if mood.price_bias < 0 else "dearer"][language])
    if abs(mood.novelty - 0.5) >= 0.25:
        parts.append(SAYS["new" if mood.novelty > 0.5 else "same"][language])
    if abs(mood.energy - 0.5) >= 0.3:
        parts.append(SAYS["lively" if mood.energy > 0.5 else "calm"][language])
    told = MODES_TOLD[mood.mode][language]
    unique = list(Counter(parts))
    return f"{told}{'：' if language != 'en' else ': '}{_LISTS[language].join(unique)}" if unique else told


def panel(mood: Mood | None, is_off: bool, language: Language) -> dict[str, Any]:
    """Everything a panel shows, in one language: the line, what it rests on, the chips, the words of its buttons."""
    says = {name: words[language] for name, words in SAYS.items()}
    chips = [{"name": name, "words": words[language]} for name, (words, _) in CHIPS.items()]
    shown = {"language": language, "chips": chips, "says": says}
    if mood is None or is_off:
        return shown | {"line": "", "source": "", "evidence": [], "is_weak": False}
    return shown | {
        "line": described(mood, language),
        "source": says["said" if mood.is_said else "inferred"],
        "evidence": [] if mood.is_said else [each.words[language] for each in mood.evidence],
        "is_weak": not strength(mood),
    }
