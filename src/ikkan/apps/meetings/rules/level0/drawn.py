"""The one door: a transcript in, everything that is drawn out of it without a language model."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ikkan.apps.meetings.rules.level0.assign import assignment
from ikkan.apps.meetings.rules.level0.chances import LEARNED_LANGUAGE, best, importance, room_of, table_of, told, turned
from ikkan.apps.meetings.rules.level0.chapters import chapters
from ikkan.apps.meetings.rules.level0.cues import cue
from ikkan.apps.meetings.rules.level0.features import Float64
from ikkan.apps.meetings.rules.level0.keypoints import confidences, ordered
from ikkan.apps.meetings.rules.level0.model import Model, shipped
from ikkan.apps.meetings.rules.level0.proposals import proposals
from ikkan.apps.meetings.rules.level0.rates import heard, of_any_language
from ikkan.apps.meetings.rules.level0.units import Unit, size, spoken, tidy, units
from ikkan.apps.meetings.values import Extraction, Kind, Transcript

KEY_POINT_WORDS = 1_000
"""Key points fill at least so many words, so that minutes of any usual length may be cut from their front."""
LEAST = {Kind.ACTION: 0.01, Kind.DECISION: 0.02, Kind.QUESTION: 0.0}
"""Candidates less likely than this are not shown."""
_OF_EACH_SPEAKER = 3
_AROUND = 3


@dataclass(frozen=True, slots=True)
class _Meeting:
    transcript: Transcript
    units: tuple[Unit, ...]
    importance: Float64
    room: int
    """How many candidates of a kind."""


def extract(
    transcript: Transcript, *, glossary: Mapping[str, str] | None = None, model: Model | None = None
) -> tuple[Extraction, ...]:
    """Chapters, key points, actions, decisions, questions and proposals, each with the segments it rests on.

    Chapters come first, in order; then each kind, ranked by confidence. Key points hold at least three lines of every
    speaker who said as much, so that the points of one speaker can be read off by their evidence. Actions and decisions
    are candidates for a person to judge. In English `actions@1`, `key_points@1` and `decision_candidates@1` are learned
    and their confidence is a calibrated chance (that of decisions is low, because they are hard to tell). In other
    languages all are made by `rule`: actions and decisions by cue words, key points by what English meetings taught of
    length, place and repetition, which were the same in any language; their confidence is not measured. English
    actions that only their words give away are made by `rule`, too.

    Args:
        transcript: a whole meeting.
        glossary: how the firm writes what transcripts get wrong: as heard → as written.
        model: other weights than those that ship.

    >>> from ikkan.apps.meetings.values import Segment
    >>> said = Transcript((Segment("s1", "Ann", "Action item: send the slides to everybody."),), "en")
    >>> [(one.kind.value, one.evidence) for one in extract(said) if one.kind is Kind.ACTION]
    [('action', ('s1',))]
    """
    transcript = spelled(transcript, glossary or {})
    found = units(transcript)
    if not found:
        return ()
    model = model or shipped()
    language = transcript.language
    english = language == LEARNED_LANGUAGE
    table = table_of(found, language, model)
    important = importance(found, language, model, table)
    actions, by_model = told(found, language, "action", model.actions, table, important)
    total = sum(size(unit.words) for unit in found)
    meeting = _Meeting(transcript, found, important, room_of(total))
    drawn_out = (
        *_topics(meeting),
        *_key_points(meeting, model, english, max(KEY_POINT_WORDS, round(total / 10))),
        *_actions(meeting, turned(actions, table, model.turns.get("actions")), by_model),
        *_decisions(meeting, *told(found, language, "decision", model.decisions, table, important)),
        *_questions(meeting),
    )
    return (*drawn_out, *proposals(drawn_out, transcript))


def spelled(transcript: Transcript, glossary: Mapping[str, str]) -> Transcript:
    """A transcript with a firm's words as the firm writes them.

    >>> from ikkan.apps.meetings.values import Segment
    >>> said = Transcript((Segment("s1", "Ann", "The queue shoe office moves."),), "en")
    >>> spelled(said, {"queue shoe": "Kyushu"}).segments[0].text
    'The Kyushu office moves.'
    """
    if not glossary:
        return transcript
    longest_first = sorted((heard_as for heard_as in glossary if heard_as), key=len, reverse=True)
    written = {heard_as.casefold(): glossary[heard_as] for heard_as in longest_first}
    terms = [rf"\b{re.escape(term)}\b" if term.isascii() else re.escape(term) for term in longest_first]
    pattern = re.compile("|".join(terms), re.IGNORECASE)
    segments = tuple(
        replace(one, text=pattern.sub(lambda hit: written.get(hit[0].casefold(), hit[0]), one.text))
        for one in transcript
    )
    return replace(transcript, segments=segments)


def _topics(meeting: _Meeting) -> list[Extraction]:
    return [
        Extraction(
            Kind.TOPIC,
            chapter.title,
            tuple(dict.fromkeys(unit.segment_id for unit in meeting.units[chapter.first : chapter.end])),
            "rule",
        )
        for chapter in chapters(meeting.units, meeting.importance)
    ]


def _key_points(meeting: _Meeting, model: Model, english: bool, room_words: int) -> list[Extraction]:
    said = spoken(meeting.units)
    words = heard(said, meeting.importance)
    rates = model.rates.of_english(words) if english else of_any_language(words)
    order = ordered(said, meeting.importance, words, rates, room_words)
    lines = Counter(meeting.units[at].speaker for at in order)
    taken = set(order)
    for at in np.argsort(-meeting.importance, kind="stable").tolist():
        speaker = meeting.units[at].speaker
        if at not in taken and speaker and lines[speaker] < _OF_EACH_SPEAKER and len(said[at]) > 2:
            lines[speaker] += 1
            order.append(at)
    return [
        _extraction(Kind.KEY_POINT, meeting.units[at], confidence, "key_points@1" if english else "rule")
        for at, confidence in zip(order, confidences(meeting.importance, order), strict=True)
    ]


def _actions(meeting: _Meeting, chances: Float64, learned: NDArray[np.bool_]) -> list[Extraction]:
    found = []
    for at in best(meeting.units, chances, least=LEAST[Kind.ACTION], room=meeting.room):
        around = meeting.units[max(0, at - _AROUND) : at + _AROUND + 1]
        given = assignment(meeting.units[at], around, meeting.transcript)
        plain = _extraction(Kind.ACTION, meeting.units[at], float(chances[at]), "actions@1" if learned[at] else "rule")
        found.append(replace(plain, owner=given.owner, due=given.due, due_words=given.due_words))
    return found


def _decisions(meeting: _Meeting, chances: Float64, learned: NDArray[np.bool_]) -> list[Extraction]:
    return [
        _extraction(
            Kind.DECISION,
            meeting.units[at],
            float(chances[at]),
            "decision_candidates@1" if learned[at] else "rule",
        )
        for at in best(meeting.units, chances, least=LEAST[Kind.DECISION], room=meeting.room)
    ]


def _questions(meeting: _Meeting) -> list[Extraction]:
    asked = np.array([cue("question", unit.text, meeting.transcript.language) for unit in meeting.units])
    alone = np.array([size(unit.words) >= 4 for unit in meeting.units])
    chances = asked * alone * (0.5 + 0.5 * meeting.importance)
    return [
        _extraction(Kind.QUESTION, meeting.units[at], float(chances[at]), "rule")
        for at in best(meeting.units, chances, least=LEAST[Kind.QUESTION], room=meeting.room)
    ]


def _extraction(kind: Kind, unit: Unit, confidence: float, made_by: str) -> Extraction:
    return Extraction(kind, tidy(unit.text), (unit.segment_id,), made_by, round(confidence, 4))
