"""Level 0 and a model's notes as one result: the model completes and says better, Level 0 forgets nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ikkan.apps.meetings.rules.level0.proposals import proposals
from ikkan.apps.meetings.values import Extraction, Kind, Transcript


def joined(
    level0: Sequence[Extraction], written: Sequence[Extraction], transcript: Transcript
) -> tuple[Extraction, ...]:
    """Every kind: the model's notes first, then what Level 0 found elsewhere.

    A note that rests on an action or decision Level 0 found completes it: the line keeps its evidence and with it its
    id, so that what people judged stays judged; text, owner and day are the model's where those held, else Level 0's.
    Level 0's own proposals are made anew of the completed lines.

    >>> found = Extraction(Kind.ACTION, "I'll, uh, send the report", ("s4",), "actions@1", 0.3)
    >>> note = Extraction(Kind.ACTION, "Send the report", ("s3", "s4"), "level1:m", 0.4, "Ann")
    >>> one, *rest = joined([found], [note], Transcript((), "en"))
    >>> (one.text, one.owner, one.evidence, one.confidence), rest[0].kind.value
    (('Send the report', 'Ann', ('s4',), 0.65), 'proposal')
    """
    made: list[Extraction] = [one for one in level0 if one.kind is Kind.TOPIC]
    for kind in (Kind.KEY_POINT, Kind.DECISION, Kind.ACTION, Kind.QUESTION):
        ours = [one for one in level0 if one.kind is kind]
        theirs = [one for one in written if one.kind is kind]
        made += _points(ours, theirs) if kind is Kind.KEY_POINT else _completed(ours, theirs)
    suggested = [one for one in written if one.kind is Kind.PROPOSAL]
    return (*made, *suggested, *proposals(made, transcript))


def _points(ours: Sequence[Extraction], theirs: Sequence[Extraction]) -> list[Extraction]:
    told = {segment_id for note in theirs for segment_id in note.evidence}
    return [*theirs, *(one for one in ours if not set(one.evidence) <= told)]


def _completed(ours: Sequence[Extraction], theirs: Sequence[Extraction]) -> list[Extraction]:
    """Ranked by confidence; a candidate that the model named too is surer than it was."""
    waiting = list(ours)
    made: list[Extraction] = []
    for note in theirs:
        same = next((one for one in waiting if set(one.evidence) & set(note.evidence)), None)
        if same is None:
            made.append(note)
            continue
        waiting.remove(same)
        is_dated = note.due is not None or note.due_words is not None
        made.append(
            replace(
                same,
                text=note.text,
                made_by=note.made_by,
                confidence=round((1 + same.confidence) / 2, 4),
                owner=note.owner or same.owner,
                due=note.due if is_dated else same.due,
                due_words=note.due_words if is_dated else same.due_words,
            )
        )
    return sorted([*made, *waiting], key=lambda one: -one.confidence)
