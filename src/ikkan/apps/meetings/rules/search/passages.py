"""A meeting in passages: a few goes together, long enough to be about something and short enough to be quoted."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ikkan.apps.meetings.values import Item, Kind, Segment, Status

SAID = "said"
"""The part of an index that holds what was said; the other parts are called after kinds."""
ITEM_PARTS = (Kind.DECISION.value, Kind.ACTION.value)
_ENOUGH = 240
"""How much a passage holds before it ends: a Latin letter counts half of a kana or hanzi."""
MOST = 65_535
"""Passages of one part of one meeting, so that a place fits two bytes."""


@dataclass(frozen=True, slots=True)
class Passage:
    """Some words of a meeting."""

    text: str
    speaker: str
    """Who speaks first."""
    start_s: float | None
    evidence: tuple[str, ...]


def passages(segments: Iterable[Segment]) -> tuple[Passage, ...]:
    """What was said, in passages that overlap nowhere and leave nothing out.

    >>> said = [Segment("s1", "Ada", "Hello."), Segment("s2", "Bo", "The budget is set. " * 30)]
    >>> [(len(passage.text) > 100, passage.evidence) for passage in passages([*said, Segment("s3", "", "Bye")])]
    [(True, ('s1', 's2')), (False, ('s3',))]
    """
    made: list[Passage] = []
    together: list[Segment] = []
    weight = 0.0
    for segment in segments:
        together.append(segment)
        weight += sum(1.0 if character > "\u3000" else 0.5 for character in segment.text)
        if weight >= _ENOUGH:
            made.append(_passage(together))
            together, weight = [], 0.0
    if together:
        made.append(_passage(together))
    if len(made) > MOST:  # bounded by the size of a transcript; the last one then holds the rest
        made = [*made[: MOST - 1], _joined(made[MOST - 1 :])]
    return tuple(made)


def item_passages(items: Iterable[Item], segments: Sequence[Segment], kind: str) -> tuple[Passage, ...]:
    """The items of a kind that were not rejected, each with the words it rests on."""
    by_id = {segment.id: segment for segment in segments}
    made = []
    for item in items:
        said = item.extraction
        if said.kind.value == kind and item.status is not Status.REJECTED:
            first = by_id.get(said.evidence[0], Segment("", "", ""))
            made.append(Passage(said.text, said.owner or first.speaker, first.start_s, said.evidence))
    return tuple(made[:MOST])


def _passage(segments: Sequence[Segment]) -> Passage:
    first = segments[0]
    return Passage(
        "\n".join(each.text for each in segments), first.speaker, first.start_s, tuple(s.id for s in segments)
    )


def _joined(made: Sequence[Passage]) -> Passage:
    evidence = tuple(segment_id for passage in made for segment_id in passage.evidence)
    return Passage("\n".join(passage.text for passage in made), made[0].speaker, made[0].start_s, evidence)
