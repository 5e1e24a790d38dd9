"""The one door: a transcript in, everything that is drawn out of it without a language model."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ikkan.apps.meetings.rules.level0.assign import assignment
from ikkan.apps.meetings.rules.level0.chapters import chapters
from ikkan.apps.meetings.rules.level0.cues import SAID_OUTRIGHT, STRONG, WEAK, cue
from ikkan.apps.meetings.rules.level0.features import Float64, Rows, rows, shapes
from ikkan.apps.meetings.rules.level0.keypoints import confidences, ordered
from ikkan.apps.meetings.rules.level0.model import Head, Model, logistic, shipped
from ikkan.apps.meetings.rules.level0.rates import heard, of_any_language
from ikkan.apps.meetings.rules.level0.units import Unit, size, spoken, tidy, units
from ikkan.apps.meetings.values import Extraction, Kind, Transcript

KEY_POINT_WORDS = 1_000
"""Key points fill at least so many words, so that minutes of any usual length may be cut from their front."""
CANDIDATES = 20
"""Actions, decisions and questions that are shown of a meeting of up to an hour; longer ones get more in proportion."""
_HOUR_WORDS = 10_000
_LEAST = {Kind.ACTION: 0.01, Kind.DECISION: 0.02, Kind.QUESTION: 0.0}
"""Candidates less likely than this are not shown."""
_LEAST_BY_CUE = [SAID_OUTRIGHT, 0.21, 0.09]
"""English. Counted in AMI meetings: 3 of 14 strong cues are minuted actions, and 32 of 364 weak ones."""
_FEWEST_LEARNED = 100
"""No meeting that was learned from has fewer units; of shorter ones the learned chances are trusted in proportion."""
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
    """Chapters, key points, actions, decisions and questions of a meeting, each with the segments it rests on.

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
    transcript = _written(transcript, glossary or {})
    found = units(transcript)
    if not found:
        return ()
    model = model or shipped()
    english = transcript.language == "en"
    table = rows(found) if english else None
    lengths = np.array([len(unit.words) for unit in found], dtype=np.int64)
    if table is not None:
        importance = model.importance.chances(table, lengths)
    else:
        importance = logistic(shapes(found) @ model.shape)
    total = sum(size(unit.words) for unit in found)
    meeting = _Meeting(transcript, found, importance, max(CANDIDATES, round(CANDIDATES * total / _HOUR_WORDS)))
    return (
        *_topics(meeting),
        *_key_points(meeting, model, english, max(KEY_POINT_WORDS, round(total / 10))),
        *_actions(meeting, *_told(meeting, "action", model.actions, table, lengths)),
        *_decisions(meeting, *_told(meeting, "decision", model.decisions, table, lengths)),
        *_questions(meeting),
    )


def _written(transcript: Transcript, glossary: Mapping[str, str]) -> Transcript:
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


def _told(
    meeting: _Meeting, kind: str, head: Head, table: Rows | None, lengths: NDArray[np.int64]
) -> tuple[Float64, NDArray[np.bool_]]:
    """How surely each unit is of this kind, and whether that was learned."""
    by_words = np.array([cue(kind, unit.text, meeting.transcript.language, unit.speaker) for unit in meeting.units])
    if table is None:
        # Among equal cues, what is more important comes first.
        return by_words * (0.9 + 0.1 * meeting.importance), np.zeros(len(by_words), dtype=np.bool_)
    chances = head.chances(table, lengths) * min(1.0, len(meeting.units) / _FEWEST_LEARNED)
    # Learned chances know one firm's talk; plain words of assignment are shown even where it says nothing of them.
    least = np.select([by_words >= SAID_OUTRIGHT, by_words >= STRONG, by_words >= WEAK], _LEAST_BY_CUE, 0.0)
    # Among equal cues, what was learned decides.
    return np.where(chances >= least, chances, 0.9 * least + 0.1 * chances), chances >= least


def _actions(meeting: _Meeting, chances: Float64, learned: NDArray[np.bool_]) -> list[Extraction]:
    found = []
    for at in _best(meeting, chances, Kind.ACTION):
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
        for at in _best(meeting, chances, Kind.DECISION)
    ]


def _questions(meeting: _Meeting) -> list[Extraction]:
    asked = np.array([cue("question", unit.text, meeting.transcript.language) for unit in meeting.units])
    alone = np.array([size(unit.words) >= 4 for unit in meeting.units])
    chances = asked * alone * (0.5 + 0.5 * meeting.importance)
    return [
        _extraction(Kind.QUESTION, meeting.units[at], float(chances[at]), "rule")
        for at in _best(meeting, chances, Kind.QUESTION)
    ]


def _best(meeting: _Meeting, chances: Float64, kind: Kind) -> list[int]:
    found: list[int] = []
    seen: set[str] = set()
    for at in np.argsort(-chances, kind="stable").tolist():
        if chances[at] <= _LEAST[kind] or len(found) == meeting.room:
            break
        text = " ".join(meeting.units[at].words)
        if text not in seen:
            seen.add(text)
            found.append(at)
    return found


def _extraction(kind: Kind, unit: Unit, confidence: float, made_by: str) -> Extraction:
    return Extraction(kind, tidy(unit.text), (unit.segment_id,), made_by, round(confidence, 4))
