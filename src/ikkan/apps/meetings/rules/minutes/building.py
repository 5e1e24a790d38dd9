"""Items into the sections of a form. Every line keeps the ids of the words it rests on."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ikkan.apps.meetings.rules.items import clock, in_order
from ikkan.apps.meetings.rules.minutes.forms import FORMS, STANDARD, WORDS, Layout, Part
from ikkan.apps.meetings.values import Item, Kind, Segment, Status, Transcript
from ikkan.ground.errors import BadInput

MOST_OPEN = 10
"""Candidates nobody has looked at that one section shows, the surest of them."""
MOST_POINTS = 4
"""Key points nobody has looked at that stand below one chapter or one speaker, the surest of them."""
_DOUBTED = (Kind.DECISION, Kind.ACTION)
"""Kinds whose open items are marked as candidates: what they say binds somebody."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line of minutes."""

    text: str
    evidence: tuple[str, ...] = ()
    where: str = ""
    """The time of the first words it rests on, or their id."""
    speaker: str = ""
    owner: str = ""
    due: str = ""
    mark: str = ""
    """Why it is not to be taken for a fact: a candidate, a suggestion."""
    below: tuple[Line, ...] = ()
    """Key points of a chapter, points of a speaker."""


@dataclass(frozen=True, slots=True)
class Section:
    """A heading and what stands below."""

    heading: str
    layout: Layout
    lines: tuple[Line, ...]
    nothing: str = ""
    more: str = ""
    """How many candidates are left out."""


@dataclass(frozen=True, slots=True)
class Minutes:
    """Minutes as a document, ready to be drawn in any format."""

    title: str
    language: str
    form: str
    facts: tuple[tuple[str, str], ...]
    """Label and value: date, people, length."""
    sections: tuple[Section, ...]
    closing: str = ""


def minutes(transcript: Transcript, items: Iterable[Item], *, form: str = STANDARD) -> Minutes:
    """Make the minutes of a meeting, in its language. What was rejected is not in them.

    Raises:
        BadInput: there is no such form.

    >>> from ikkan.apps.meetings.rules.items import itemised
    >>> from ikkan.apps.meetings.values import Extraction
    >>> said = Transcript((Segment("s1", "Ada", "I will send it.", 3.0),), "en")
    >>> found = itemised([Extraction(Kind.ACTION, "Send it", ("s1",), "rule", owner="Ada")])
    >>> made = minutes(said, found)
    >>> [(section.heading, [(line.text, line.owner, line.where, line.mark) for line in section.lines])
    ...  for section in made.sections if section.lines]
    [('Next actions', [('Send it', 'Ada', '0:03', 'candidate')])]
    """
    if form not in FORMS:
        raise BadInput(f"there is no form {form!r} of minutes", hint=f"one of {', '.join(FORMS)}", param="form")
    chosen, language = FORMS[form], transcript.language
    shown = in_order((item for item in items if item.status is not Status.REJECTED), transcript)
    drawn = _Drawing(transcript, shown)
    sections = (drawn.section(part) for part in chosen.parts)
    return Minutes(
        title=transcript.title or chosen.title[language],
        language=language,
        form=form,
        facts=(*_facts(transcript), *((text[language], "") for text in chosen.asks_for)),
        sections=tuple(section for section in sections if section.lines or section.nothing),
        closing=chosen.closing[language] if chosen.closing else "",
    )


def _facts(transcript: Transcript) -> list[tuple[str, str]]:
    language = transcript.language
    facts = []
    if transcript.held_on:
        facts.append((WORDS["date"][language], transcript.held_on.isoformat()))
    if transcript.speakers:
        between = "、" if language in ("ja", "zh") else ", "
        facts.append((WORDS["people"][language], between.join(transcript.speakers)))
    times = [moment for each in transcript for moment in (each.start_s, each.end_s) if moment is not None]
    if times and max(times) >= 60:
        facts.append((WORDS["length"][language], WORDS["minutes"][language].format(count=round(max(times) / 60))))
    return facts


class _Drawing:
    def __init__(self, transcript: Transcript, items: Sequence[Item]) -> None:
        self._language = transcript.language
        self._segments = {segment.id: segment for segment in transcript}
        self._place = {segment.id: number for number, segment in enumerate(transcript)}
        self._items = items

    def section(self, part: Part) -> Section:
        items, left_out = self._chosen(part.kind)
        if part.layout == "chapters":
            lines = self._chapters(items)
        elif part.layout == "speakers":
            lines = self._by_speaker(items)
        else:
            lines = tuple(self._line(item) for item in items)
        return Section(
            part.heading[self._language],
            part.layout,
            lines,
            part.nothing[self._language] if part.nothing and not lines else "",
            WORDS["more"][self._language].format(count=left_out) if left_out else "",
        )

    def _chosen(self, kind: Kind) -> tuple[list[Item], int]:
        """The items of a kind, in order of speech; of candidates the surest, and how many that leaves out."""
        items = [item for item in self._items if item.extraction.kind is kind]
        if kind not in _DOUBTED:
            return items, 0
        doubted = sorted((item for item in items if not item.is_wanted), key=lambda item: -item.extraction.confidence)
        hidden = {item.id for item in doubted[MOST_OPEN:]}
        return [item for item in items if item.id not in hidden], len(hidden)

    def _line(self, item: Item) -> Line:
        said = item.extraction
        first = self._segments.get(said.evidence[0], Segment("", "", ""))
        mark = ""
        if said.kind is Kind.PROPOSAL:
            mark = WORDS["suggestion"][self._language]
        elif said.kind in _DOUBTED and not item.is_wanted:
            mark = WORDS["candidate"][self._language]
        due = said.due.isoformat() if said.due else said.due_words or ""
        where = clock(first.start_s) or first.id
        return Line(said.text, said.evidence, where, first.speaker, said.owner or "", due, mark)

    def _chapters(self, points: Sequence[Item]) -> tuple[Line, ...]:
        """Topics with the points that fall into them; points before the first topic stand alone."""
        topics, _ = self._chosen(Kind.TOPIC)
        starts = [self._start(topic) for topic in topics]
        below: list[list[Item]] = [[] for _ in topics]
        before: list[Item] = []
        for point in points:
            place = sum(start <= self._start(point) for start in starts) - 1
            (below[place] if place >= 0 else before).append(point)
        chapters = []
        for topic, found in zip(topics, below, strict=True):
            line = self._line(topic)
            chapters.append(Line(line.text, line.evidence, line.where, below=self._surest(found)))
        return (*self._surest(before), *chapters)

    def _by_speaker(self, points: Sequence[Item]) -> tuple[Line, ...]:
        groups: dict[str, list[Item]] = {}
        for point in points:
            groups.setdefault(self._line(point).speaker or WORDS["nobody"][self._language], []).append(point)
        return tuple(Line(speaker, below=self._surest(found)) for speaker, found in groups.items())

    def _surest(self, points: Sequence[Item]) -> tuple[Line, ...]:
        """What people took in, and of the rest the surest few, in order of speech."""
        open_ones = sorted((point for point in points if not point.is_wanted), key=lambda p: -p.extraction.confidence)
        hidden = {point.id for point in open_ones[MOST_POINTS:]}
        return tuple(self._line(point) for point in points if point.id not in hidden)

    def _start(self, item: Item) -> int:
        return self._place.get(item.extraction.evidence[0], 0)
