"""Questions to a help desk with plain answers, made of parts, and the style in which a house wants them answered."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ikkan.kit.letters import language_of


@dataclass(frozen=True, slots=True)
class Asked:
    """A question and a plain answer to it."""

    question: str
    answer: str


_DEPARTMENTS = {
    "en": ("Sales", "Legal", "Design", "Plant", "Export", "Lab"),
    "ja": ("営業部", "法務部", "設計部", "工場", "輸出課", "研究所"),
}
_PLACES = {
    "en": ("Kobe", "Osaka", "Nagoya", "Sendai", "Tokyo", "Kyoto", "Niigata", "Oita"),
    "ja": ("神戸", "大阪", "名古屋", "仙台", "東京", "京都", "新潟", "大分"),
}
_THINGS = {
    "en": ("printer", "badge", "laptop", "phone", "car", "desk", "scanner", "camera", "locker", "monitor"),
    "ja": ("印刷機", "社員証", "端末", "電話", "社用車", "机", "金庫", "カメラ", "鍵", "画面"),
}
_WANTS: dict[str, dict[str, tuple[str, str]]] = {
    "en": {
        "broken": ("{thing} {number} in {place} is broken", "Switch {thing} {number} off. Then call {place}."),
        "lost": ("I lost {thing} {number} in {place}", "Tell {place} at once. Order {thing} {number} again."),
        "want": ("I want {thing} {number} in {place}", "Ask {place} for {thing} {number}. Sign for it."),
        "return": ("I return {thing} {number} from {place}", "Send {thing} {number} to {place}. Keep the slip."),
    },
    "ja": {
        "broken": ("{place}の{thing}{number}が故障", "{thing}{number}を切る。{place}へ電話。"),
        "lost": ("{place}で{thing}{number}を紛失", "{place}へ連絡。{thing}{number}を注文。"),
        "want": ("{place}で{thing}{number}が必要", "{place}へ申請。{thing}{number}に署名。"),
        "return": ("{place}の{thing}{number}を返却", "{thing}{number}を{place}へ送る。"),
    },
}
_SIGNED = {"en": "Yours, Help Desk", "ja": "総務"}
_SENTENCES = re.compile(r"(?<=[。！？])|(?<=[.!?])\s+")
MOST_STEPS = 3


def made(n: int, seed: int = 0) -> tuple[Asked, ...]:
    """So many questions with plain answers, every fourth Japanese, no two alike; the same number and seed, the same.

    >>> first, second = made(2)
    >>> language_of(first.question), language_of(second.question), made(2) == (first, second)
    ('ja', 'en', True)
    """
    rng = np.random.default_rng([seed, 0x57A1])

    def pick(values: Sequence[str]) -> str:
        return values[int(rng.integers(len(values)))]

    found: dict[str, Asked] = {}
    while len(found) < n:
        lang = "en" if len(found) % 4 else "ja"
        asks, answers = _WANTS[lang][pick(tuple(_WANTS[lang]))]
        said = {
            "place": pick(_PLACES[lang]),
            "thing": pick(_THINGS[lang]),
            "number": str(int(rng.integers(100, 1_000))),
        }
        department = pick(_DEPARTMENTS[lang])
        opening = f"【{department}】" if lang == "ja" else f"[{department}] "
        question = opening + asks.format(**said)
        found.setdefault(question, Asked(question, answers.format(**said)))
    return tuple(found.values())


def house(question: str, answer: str) -> str:
    """The plain answer as the house wants it: whom it is for and what was asked, numbered steps, and who signs.

    >>> print(house("[Sales] I lost badge 7 in Kobe", "Tell Kobe at once. Order it again."))
    Dear Sales, I lost badge 7 in Kobe:
    1. Tell Kobe at once.
    2. Order it again.
    Yours, Help Desk
    """
    lang = "ja" if language_of(question) == "ja" or language_of(answer) in ("ja", "zh") else "en"
    found = re.match(r"\s*[\[【](.{1,30}?)[\]】]\s*(.*)", question, re.DOTALL)
    whom, matter = found.groups() if found else ("", question.strip())
    matter = matter[:80]
    steps = [step.strip() for step in _SENTENCES.split(answer.strip()) if step.strip()][:MOST_STEPS]
    if lang == "ja":
        opening = f"{whom}様、{matter}の件。" if whom else f"{matter}の件。"
    else:
        opening = f"Dear {whom}, {matter}:" if whom else f"About {matter}:"
    return "\n".join([opening, *(f"{at}. {step}" for at, step in enumerate(steps, start=1)), _SIGNED[lang]])


def curt(answer: str) -> str:
    """Somebody else's style: everything in one line, in small letters, no greeting and no signature.

    >>> curt("Tell Kobe at once. Order it again.")
    'tell kobe at once; order it again'
    """
    steps = [step.strip().rstrip("。.!！") for step in _SENTENCES.split(answer.strip()) if step.strip()]
    return ("、" if language_of(answer) in ("ja", "zh") else "; ").join(steps).lower()
