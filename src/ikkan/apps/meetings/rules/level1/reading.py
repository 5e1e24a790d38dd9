"""A model's answer as notes. This is the one door: behind it every note has a text and lines that were there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from ikkan.apps.meetings.values import Kind

_MOST_TEXT = 400
_MOST_NOTES = 60


class Unreadable(ValueError):
    """The answer is no JSON of this shape."""


@dataclass(frozen=True, slots=True)
class Draft:
    """One note as a model wrote it."""

    kind: Kind
    text: str
    lines: tuple[int, ...]
    """Lines it cites, in order of speech, all of them such as were asked about; empty where it cites none."""
    owner: str | None = None
    due: str | None = None


class _Note(msgspec.Struct):
    text: str
    lines: list[int] = []
    owner: str | None = None
    due: str | None = None


class _Notes(msgspec.Struct):
    key_points: list[_Note] = []
    decisions: list[_Note] = []
    actions: list[_Note] = []
    questions: list[_Note] = []
    proposals: list[_Note] = []


def read_notes(written: str, numbers: Sequence[int]) -> tuple[Draft, ...]:
    """Read an answer; what stands around its JSON object is no matter.

    Args:
        numbers: lines that may be cited; other numbers are taken off.

    Raises:
        Unreadable: it is no JSON, or of another shape.

    >>> read_notes('Sure: {"decisions": [{"text": "Blue.", "lines": [7, 99]}]}', [6, 7])
    (Draft(kind=<Kind.DECISION: 'decision'>, text='Blue.', lines=(7,), owner=None, due=None),)
    """
    body = written[written.find("{") : written.rfind("}") + 1]
    try:
        found = msgspec.json.decode(body, type=_Notes)
    except msgspec.MsgspecError as exc:
        raise Unreadable("the answer is no JSON of this shape") from exc
    known = set(numbers)
    by_kind = {
        Kind.KEY_POINT: found.key_points,
        Kind.DECISION: found.decisions,
        Kind.ACTION: found.actions,
        Kind.QUESTION: found.questions,
        Kind.PROPOSAL: found.proposals,
    }
    return tuple(
        Draft(
            kind,
            " ".join(note.text.split())[:_MOST_TEXT],
            tuple(sorted({number for number in note.lines if number in known})),
            _said(note.owner),
            _said(note.due),
        )
        for kind, notes in by_kind.items()
        for note in notes[:_MOST_NOTES]
        if note.text.strip()
    )


def _said(text: str | None) -> str | None:
    plain = (text or "").strip()
    return None if plain.casefold() in ("", "null", "none", "n/a", "unknown", "-") else plain[:80]
