"""What a candidate is known by when it is shown: what the shipped weights make of it, and where it stands.

Both are numbers, kept with the offer as it was served, so that whoever learns from a judgement later need not guess.
The words themselves are told with the judgement, a few goes around each candidate.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ikkan.apps.meetings.rules.level0.chances import importance, log_odds, table_of, told
from ikkan.apps.meetings.rules.level0.features import AROUND, Float64, Rows, marks, rows_at
from ikkan.apps.meetings.rules.level0.model import Model, shipped
from ikkan.apps.meetings.rules.level0.units import Unit, tidy, units
from ikkan.apps.meetings.rules.level0.units import words as words_of
from ikkan.apps.meetings.values import ACTION_ITEMS, KEY_POINTS, Extraction, Item, Kind, Segment, Transcript

BASE = "base"
"""The offer's feature that holds the log-odds of the shipped weights; the others are marks."""
QUESTIONS: Mapping[Kind, str] = {Kind.ACTION: "actions", Kind.KEY_POINT: "importance"}
"""Kinds whose judgements teach, and the question each is an answer to."""
LEARNABLES: Mapping[Kind, str] = {Kind.ACTION: ACTION_ITEMS, Kind.KEY_POINT: KEY_POINTS}
MAKERS = ("rule", "actions@1", "key_points@1")
"""What made candidates that teach: Level 0. Lines of a language model are its own to learn."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A line somebody judged, as much of it as can be learned from."""

    meeting: str
    language: str
    said: tuple[str, ...]
    """The units around it, in order of speech."""
    at: int
    """Which of them it is."""
    marks: tuple[str, ...]
    base: float
    """Log-odds by the shipped weights, in its meeting."""

    @property
    def text(self) -> str:
        """Its own words."""
        return self.said[self.at]

    def row(self) -> Rows:
        """It as one row of numbers, the same as among all units of its meeting."""
        around = tuple(Unit(text, "", "", tuple(words_of(text))) for text in self.said)
        return rows_at(around, [self.at], [self.marks])


def bases(meeting: Sequence[Unit], language: str, kind: Kind, model: Model) -> Float64:
    """Log-odds of every unit of a meeting, before anybody's judgement."""
    table = table_of(meeting, language, model)
    important = importance(meeting, language, model, table)
    if kind is Kind.KEY_POINT:
        return log_odds(important)
    return log_odds(told(meeting, language, "action", model.actions, table, important)[0])


def offered(transcript: Transcript, items: Iterable[Item]) -> dict[str, dict[str, float]]:
    """By id, what each candidate that can teach is known by."""
    wanted = [item for item in items if item.extraction.kind in QUESTIONS and item.extraction.made_by in MAKERS]
    found = units(transcript)
    if not wanted or not found:
        return {}
    kinds = {item.extraction.kind for item in wanted}
    by_kind = {kind: bases(found, transcript.language, kind, shipped()) for kind in kinds}
    of_each = marks(found)
    told_of = {}
    for item in wanted:
        at = place_of(found, item.extraction)
        if at is not None:
            base = float(by_kind[item.extraction.kind][at])
            told_of[item.id] = {BASE: round(base, 4), **dict.fromkeys(of_each[at], 1.0)}
    return told_of


def candidate(
    meeting: str, language: str, words: Sequence[Segment], said: Extraction, features: Mapping[str, float]
) -> Candidate | None:
    """A candidate from the words around it and what it was known by; None where either is missing."""
    if BASE not in features:
        return None
    around = units(Transcript(tuple(words), language))
    at = place_of(around, said)
    if at is None:
        return None
    first = max(0, at - AROUND)
    near = tuple(unit.text for unit in around[first : at + AROUND + 1])
    known = tuple(name for name in features if name not in (BASE, "confidence"))
    return Candidate(meeting, language, near, at - first, known, float(features[BASE]))


def place_of(meeting: Sequence[Unit], said: Extraction) -> int | None:
    """Which unit a line was drawn from: of those of its segment the one with its words, else the first."""
    there = [at for at, unit in enumerate(meeting) if unit.segment_id == said.evidence[0]]
    same = [at for at in there if tidy(meeting[at].text) == said.text]
    return next(iter(same or there), None)
