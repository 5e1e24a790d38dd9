"""What a question asks for: words, or what was decided or is to be done about them."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ikkan.apps.meetings.rules.search.passages import SAID
from ikkan.apps.meetings.values import Kind

_DECIDED = (
    r"^(?:what|which things?)\s+(?:did|have|had|was|were|has)\s+(?:we|they|been|the team|you)?\s*"
    r"(?:decided?|agreed?(?:\s+(?:up)?on)?|resolved?)\s*(?:about|on|for|regarding|concerning|with)?\s*",
    r"^(?:decisions?)\s+(?:about|on|for|regarding)\s+",
    r"(?:について|に関して|に関する|のこと|は|の|で|を)?(?:、)?(?:何|なに|どう|どのように)?(?:を|が|と|に)?"
    r"(?:決め|決ま|決定し|決定さ|合意し)[ぁ-ん]*(?:こと)?(?:は)?(?:何|なに)?(?:です|でした)?か?[?？。]*$",
    r"(?:について|に関して|に関する|の)?(?:決定事項|決定)(?:は|を)?[ぁ-ん]*[?？。]*$",
    r"^(?:关于|對於|对于)?(?=.*(?:决定|定)了(?:什么|哪些))|(?:上|的事|方面)?(?:，)?(?:我们|大家|会上)?(?:都)?(?:决定|定)了(?:什么|哪些)[?？。]*$",
)


@dataclass(frozen=True, slots=True)
class Asked:
    """What to look for, and among what."""

    words: str
    part: str = SAID
    """`said`, or the kind of extraction that is looked for."""


def asked(question: str) -> Asked:
    """Read a question: "what did we decide about X" looks for X among decisions, everything else among all words.

    >>> asked("What did we decide about the budget?")
    Asked(words='the budget?', part='decision')
    >>> [asked(text).words for text in ("予算について何を決めましたか？", "关于预算我们决定了什么？")]
    ['予算', '预算']
    >>> asked("who pays").part
    'said'
    """
    question = question.strip()
    for pattern in _DECIDED:
        rest = re.sub(pattern, "", question, flags=re.IGNORECASE).strip()
        if rest != question and rest:
            return Asked(re.sub(_DECIDED[-1], "", rest).strip() or rest, Kind.DECISION.value)
    return Asked(question)
