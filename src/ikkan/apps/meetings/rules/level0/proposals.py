"""Next steps nobody said aloud, by rule: who and when of an action that has neither, an answer to a question left open.

Few on purpose: only of what Level 0 is sure of, and each rests on the words it came from.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice

from ikkan.apps.meetings.values import Extraction, Kind, Segment, Transcript

MOST_OF_ACTIONS = 3
MOST_OF_QUESTIONS = 3
SURE = 0.2
"""Actions and questions less sure than this suggest nothing."""
WORTH = 0.5
"""A proposal is half as sure as what it rests on."""
_REPLIES = 4
"""An answer comes within so many goes."""
_LONGEST = 120

_WHO_AND_WHEN: Mapping[str, str] = {
    "ja": "担当と期限を決める:{text}",
    "en": "Agree who does this and by when: {text}",
    "zh": "确定负责人和期限：{text}",
}
_WHO: Mapping[str, str] = {"ja": "担当を決める:{text}", "en": "Agree who does this: {text}", "zh": "确定负责人：{text}"}
_WHEN: Mapping[str, str] = {"ja": "期限を決める:{text}", "en": "Agree by when: {text}", "zh": "确定期限：{text}"}
_ANSWER: Mapping[str, str] = {
    "ja": "回答する:{text}",
    "en": "Answer the open question: {text}",
    "zh": "回复未答复的问题：{text}",
}
_PUT_OFF = re.compile(
    r"\b(?:(?:i )?(?:don'?t|do not) know|not sure|no idea|(?:i'?ll|we'?ll|let me|let'?s|need to|have to) "
    r"(?:check|find out|look into|see|ask|come back|get back)|later|next (?:time|meeting)|tbd|"
    r"to be (?:decided|confirmed))\b"
    r"|(?:わかりません|分かりません|わからない|分からない|確認し(?:ます|て|ないと)|調べ(?:ます|て)|持ち帰|後で|後日|次回|未定|宿題)"
    r"|(?:不知道|不清楚|不确定|不好说|(?:再|先|回去)?(?:确认|查)一下|之后再|下次|待定|回头)",
    re.IGNORECASE,
)


def proposals(found: Iterable[Extraction], transcript: Transcript) -> tuple[Extraction, ...]:
    """Suggestions that follow from actions and questions, the surest first; all of kind `proposal`, made by `rule`.

    >>> from ikkan.apps.meetings.values import Segment
    >>> said = Transcript((Segment("s1", "Ann", "Who pays for it?"), Segment("s2", "Bo", "I don't know.")), "en")
    >>> asked = Extraction(Kind.QUESTION, "Who pays for it?", ("s1",), "rule", 0.5)
    >>> [(one.text, one.evidence) for one in proposals([asked], said)]
    [('Answer the open question: Who pays for it?', ('s1', 's2'))]
    """
    sure = sorted((one for one in found if one.confidence >= SURE), key=lambda one: -one.confidence)
    actions = [one for one in sure if one.kind is Kind.ACTION and _lacking(one) is not None]
    left_open = (
        (one, rests_on)
        for one in sure
        if one.kind is Kind.QUESTION and (rests_on := _open(one, transcript)) is not None
    )
    asks = _ANSWER[transcript.language]
    made = [_of_action(one, transcript.language) for one in actions[:MOST_OF_ACTIONS]]
    made += [
        _proposal(asks.format(text=one.text[:_LONGEST]), rests_on, one)
        for one, rests_on in islice(left_open, MOST_OF_QUESTIONS)
    ]
    return tuple(sorted(made, key=lambda one: -one.confidence))


def _lacking(action: Extraction) -> Mapping[str, str] | None:
    is_dated = action.due is not None or action.due_words is not None
    if action.owner is None:
        return _WHO if is_dated else _WHO_AND_WHEN
    return None if is_dated else _WHEN


def _of_action(action: Extraction, language: str) -> Extraction:
    asks = _lacking(action)
    assert asks is not None, "only what lacks something is asked about"
    return _proposal(asks[language].format(text=action.text[:_LONGEST]), action.evidence, action)


def _open(question: Extraction, transcript: Transcript) -> tuple[str, ...] | None:
    """The words that leave a question open: the question, and what put it off; None where it was answered.

    Nobody else speaks after it, or the first who does puts it off.
    """
    segments: Sequence[Segment] = transcript.segments
    place = next((at for at, each in enumerate(segments) if each.id == question.evidence[-1]), None)
    if place is None:
        return None
    asker = segments[place].speaker
    replies = [each for each in segments[place + 1 : place + 1 + _REPLIES] if each.speaker != asker and each.text]
    if not replies:
        return question.evidence if asker else None
    put_off = replies[0] if _PUT_OFF.search(replies[0].text) else None
    return (*question.evidence, put_off.id) if put_off is not None else None


def _proposal(text: str, evidence: tuple[str, ...], basis: Extraction) -> Extraction:
    return Extraction(Kind.PROPOSAL, text, evidence, "rule", round(basis.confidence * WORTH, 4))
