"""Words by which people ask, assign and decide: rules, for want of labels of most languages and most firms."""

from __future__ import annotations

import re
from functools import lru_cache

from ikkan.apps.meetings.rules.language import Cue, Understood, understand

SAID_OUTRIGHT = 0.9
"""Confidence where a speaker names the kind himself: "Action item: …"."""
STRONG, WEAK = 0.5, 0.25
"""Confidence of a cue. Set by hand, measured on no labels."""
_NOBODYS = 0.4


_DAY = (
    r"(?:(?:next|this) (?:week|month|meeting)|tomorrow|tonight|today|noon|(?:next |this )?(?:mon|tues|wednes|thurs|fri|"
    r"satur|sun)day|(?:the )?end of (?:the |this |next )?(?:day|week|month|quarter|year)|\d{1,2} ?[ap]m|"
    r"the next meeting)\b"
)
_WILL = (
    r"(?:'ll|(?:'m|'re| am| are| is|'s) (?:going to|gonna)|,? will|,? shall|,? must|,? should|,? can|,? could|"
    r" (?:have|has|need|needs) to)"
)
_DO = (
    r"(?:send|write|prepare|check|ask|call|e-?mail|fill|finish|complete|update|share|contact|find out|bring|post|"
    r"work on|set up|schedule|arrange|follow up|organi[sz]e|draft|review|book|order|report|look into|talk to|get back|"
    r"make sure)\b"
)


def _any(*patterns: str) -> re.Pattern[str]:
    return re.compile("|".join(patterns), re.IGNORECASE)


_OUTRIGHT = {
    "action": _any(
        r"^\W*(?:action(?: items?| points?)?|to-?do|next steps?)\s*[:：]",
        r"^\W*(?:宿題|タスク|アクション(?:アイテム)?|待办(?:事项)?|行动项)\s*[:：]",
    ),
    "decision": _any(
        r"^\W*(?:decisions?|decided)\s*[:：]",
        r"^\W*(?:決定(?:事項)?|合意事項|决定(?:事项)?|决议)\s*[:：]",
    ),
    "question": _any(r"^\W*(?:(?:open )?questions?|質問|論点|问题)\s*[:：]"),
}
_ASSIGNED = _any(
    rf"\b[a-z]+{_WILL} .{{0,120}}\b(?:by|before|until) {_DAY}",
    rf"\bplease (?:\w+ )?{_DO}",
    rf"\b(?:can|could|will|would) you (?:please )?{_DO}",
)
_PLANNED = _any(rf"\b[a-z]+{_WILL} (?:\w+ )?{_DO}")
_ASKED = _any(
    r"\?\s*$",
    r"^(?:(?:so|and|but|okay|well) )*(?:who|what|when|where|why|how|which)\b(?!.*[.,;!]$)",
    r"^(?:(?:so|and|but|okay|well) )*(?:(?:shall|should|do|can|could) we|(?:is|are) there)\b(?!.*[.,;!]$)",
)


def cue(kind: str, text: str, language: str, speaker: str = "") -> float:
    """How surely this is an `action`, a `decision` or a `question` by its words alone; 0.0 where nothing says so.

    In Japanese and Chinese, where nothing was learned, whole sentences are read (`rules/language`): an action of
    somebody is surer than one of nobody, and a step that is only suggested is a weak one. English has words that help
    what was learned.

    >>> cue("action", "見積もりは金曜までに送ります", "ja", "佐藤"), cue("decision", "Decision: blue.", "en")
    (0.5, 0.9)
    """
    if _OUTRIGHT[kind].search(text):
        return SAID_OUTRIGHT
    if language in ("ja", "zh"):
        said = _understood(text, language, speaker)
        if kind in said.kinds:
            return _NOBODYS if kind == "action" and said.owner is None else STRONG
        return WEAK if kind == "action" and Cue.PROPOSAL in said.kinds else 0.0
    if kind == "question":
        return STRONG if _ASKED.search(text) else 0.0
    if kind == "action":
        return STRONG if _ASSIGNED.search(text) else WEAK if _PLANNED.search(text) else 0.0
    return 0.0


@lru_cache(maxsize=20_000)
def _understood(text: str, language: str, speaker: str) -> Understood:
    return understand(text, language=language, speaker=speaker, speakers=(speaker,), held_on=None)
