"""Judgements as examples: each line that people took in, beside those of its meeting that they rejected.

| what people did to the proposed lines of a meeting | example |
|---|---|
| accepted or edited one, and rejected others | one for each line taken in: "this, of these" |
| rejected some and took none in, or took in some and rejected none | none: it says nothing about the order of lines |
| left a line open, or took a judgement back | the line counts for nothing |
| wrote a line of their own | none: it was never proposed, so nobody knows where it would have stood |

Of several judgements of one line the latest stands, whoever gave it. A line teaches only as long as the event that says
how it was proposed may be read: that belongs to whoever brought the meeting. Lines that a language model wrote are none
of these.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ikkan.apps.meetings.rules.level0.offered import MAKERS, Candidate, candidate
from ikkan.apps.meetings.values import EXTRACTED, JUDGED, Extraction, Kind, Segment, Status
from ikkan.flywheel.contract import Examples
from ikkan.ground.events import Event

_WANTED: Mapping[str, bool] = {Status.ACCEPTED: True, Status.EDITED: True, Status.REJECTED: False}


@dataclass(frozen=True, slots=True)
class Choice:
    """Lines of one meeting, of which one was wanted. Which one, is the truth: its place among them."""

    lines: tuple[Candidate, ...]
    """As they stood in the list: the likeliest by the shipped weights first."""

    def wanted(self, truth: int) -> int:
        """The place a truth means; one that was said of a longer list counts on from the top."""
        return truth % len(self.lines)


@dataclass(frozen=True, slots=True)
class _Judged:
    line: Candidate
    proposed: Event
    said: Event
    wanted: bool


def read_judgements(events: Iterable[Event], kind: Kind) -> Examples:
    """The examples in these events, in the order in which meetings were drawn out."""
    shown: dict[str, Event] = {}
    latest: dict[tuple[str, str], Event] = {}
    for event in events:
        if event.name == EXTRACTED:
            shown[str(event.payload.get("impression_id"))] = event
        elif event.name == JUDGED and event.payload.get("kind") == kind.value:
            latest[str(event.payload.get("meeting_id")), str(event.payload.get("item"))] = event
    by_meeting: dict[str, list[_Judged]] = defaultdict(list)
    for (meeting, item), event in latest.items():
        wanted = _WANTED.get(str(event.payload.get("verdict")))
        proposed = shown.get(str(event.payload.get("impression_id")))
        if wanted is None or proposed is None:
            continue
        line = _candidate(meeting, item, event.payload, proposed.payload, kind)
        if line is not None:
            by_meeting[meeting].append(_Judged(line, proposed, event, wanted))
    rows: list[tuple[_Judged, list[_Judged]]] = []
    for judged in by_meeting.values():
        rejected = [each for each in judged if not each.wanted]
        rows += [(each, rejected) for each in judged if each.wanted and rejected]
    rows.sort(key=lambda row: (row[0].proposed.occurred_at, row[0].said.id))
    choices = [_choice(taken, rejected) for taken, rejected in rows]
    return Examples(
        ids=tuple(example_id(taken.line.meeting, str(taken.said.payload["item"])) for taken, _ in rows),
        unit_ids=tuple(review_of(taken.said.subject_id, taken.line.meeting) for taken, _ in rows),
        occurred_at=tuple(min(taken.proposed.occurred_at, taken.said.occurred_at) for taken, _ in rows),
        known_at=tuple(max(each.said.occurred_at for each in (taken, *rejected)) for taken, rejected in rows),
        slices=tuple(taken.line.language for taken, _ in rows),
        keys=tuple(taken.line.text for taken, _ in rows),
        inputs=tuple(choice for choice, _ in choices),
        truths=tuple(place for _, place in choices),
        teaches=np.ones(len(rows), dtype=np.bool_),
        own=np.ones(len(rows), dtype=np.bool_),
        evidence=tuple(
            tuple(dict.fromkeys(id for each in (taken, *rejected) for id in (each.proposed.id, each.said.id)))
            for taken, rejected in rows
        ),
    )


def _choice(taken: _Judged, rejected: Sequence[_Judged]) -> tuple[Choice, int]:
    standing = sorted((taken, *rejected), key=lambda each: (-each.line.base, each.said.id))
    return Choice(tuple(each.line for each in standing)), standing.index(taken)


def review_of(subject_id: str | None, meeting: str) -> str:
    """One person's review of one meeting: what counts as independent of the others."""
    return f"{subject_id or 'someone'} on {meeting}"


def example_id(meeting: str, item: str) -> str:
    """The same line of the same meeting, in 24 letters."""
    return hashlib.sha256(f"{meeting}\0{item}".encode()).hexdigest()[:24]


def _candidate(
    meeting: str, item: str, judged: Mapping[str, Any], proposed: Mapping[str, Any], kind: Kind
) -> Candidate | None:
    before, offers = judged.get("before"), proposed.get("offers")
    words, made_by = judged.get("words"), (proposed.get("kinds") or {}).get(item)
    if not (isinstance(before, Mapping) and before.get("evidence") and words and offers and made_by):
        return None
    features = next((offer.get("features") for offer in offers if offer.get("item") == item), None)
    if not isinstance(features, Mapping) or made_by[1] not in MAKERS:
        return None
    said = Extraction(kind, str(before.get("text")), tuple(before["evidence"]), str(made_by[1]))
    around = [Segment(str(each["id"]), str(each["speaker"]), str(each["text"])) for each in words]
    return candidate(meeting, str(judged.get("language")), around, said, features)
