"""What of a model's notes is believed: only what the words it cites hold.

Three things are asked of each note, none of them of a model: does it cite, does it share enough words with what it
cites, and are all its numbers there. Who is to do it must take part or be named in the cited words; a day counts where
the rules of dates find it in them. A note that fails is dropped, an owner or a day that fails is taken off.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ikkan.apps.meetings.rules.language import dates
from ikkan.apps.meetings.rules.level0.chapters import is_common
from ikkan.apps.meetings.rules.level0.units import contents, words
from ikkan.apps.meetings.rules.level1.reading import Draft
from ikkan.apps.meetings.values import Extraction, Kind, Segment, Transcript

LEAST_SHARED = 0.5
"""Of a note's content words (of Japanese and Chinese its pairs of characters), so many stand in the words it cites."""
LEAST_SHARED_PROPOSAL = 0.34
"""A proposal says what nobody said; it still is about what was."""
FEWEST_SHARED = 2
UNCITED, UNSUPPORTED, TWICE, OWNER, DUE = "uncited", "unsupported", "twice", "owner", "due"
_CONFIDENCE: Mapping[Kind, float] = {
    Kind.KEY_POINT: 0.9,
    Kind.DECISION: 0.6,
    Kind.ACTION: 0.4,
    Kind.QUESTION: 0.6,
    Kind.PROPOSAL: 0.3,
}
"""Places in a ranking beside Level 0's, set by hand and measured on nothing."""
_LEAST_CONFIDENCE = 0.05
_SELF = frozenset({"i", "me", "myself", "speaker", "私", "僕", "俺", "自分", "わたし", "我", "本人"})
_EVERYBODY = "we us you he she they it everyone everybody somebody someone anyone team all group people both"
_EVERYBODY_WIDE = "みんな 皆 皆さん 全員 私たち 誰か 彼 彼女 我们 大家 你 您 他 她 他们 有人"
_NOBODY = frozenset(f"{_EVERYBODY} {_EVERYBODY_WIDE}".split())
_NUMBER = re.compile(r"\d+")


@dataclass(frozen=True, slots=True)
class Checked:
    """What was believed, and how often what was not."""

    extractions: tuple[Extraction, ...]
    dropped: Mapping[str, int]


def checked(drafts: Iterable[Draft], transcript: Transcript, *, made_by: str) -> Checked:
    """The notes that hold, as extractions in the order they were written.

    >>> from datetime import date
    >>> words = Segment("s1", "Ann", "I'll send the final report to Bob by Friday.")
    >>> said = Transcript((words,), "en", date(2026, 6, 1))
    >>> notes = [Draft(Kind.ACTION, "Send the final report to Bob", (1,), "Ann", "by Friday"),
    ...          Draft(Kind.DECISION, "The budget is doubled", (1,)), Draft(Kind.KEY_POINT, "A report is due", ())]
    >>> found = checked(notes, said, made_by="level1:m")
    >>> [(one.text, one.owner, one.due.isoformat()) for one in found.extractions], dict(found.dropped)
    ([('Send the final report to Bob', 'Ann', '2026-06-05')], {'unsupported': 1, 'uncited': 1})
    """
    dropped: Counter[str] = Counter()
    kept: list[Extraction] = []
    seen: set[tuple[Kind, str]] = set()
    for place, draft in enumerate(drafts):
        cited = [transcript.segments[number - 1] for number in draft.lines]
        if not cited:
            dropped[UNCITED] += 1
            continue
        if not is_supported(draft.text, cited, transcript, is_proposal=draft.kind is Kind.PROPOSAL):
            dropped[UNSUPPORTED] += 1
            continue
        if (draft.kind, said := " ".join(words(draft.text))) in seen:
            dropped[TWICE] += 1
            continue
        seen.add((draft.kind, said))
        owner = owner_of(draft.owner, cited, transcript) if draft.kind is Kind.ACTION else None
        due = due_of(draft.due, cited, transcript) if draft.kind is Kind.ACTION else None
        dropped[OWNER] += draft.kind is Kind.ACTION and draft.owner is not None and owner is None
        dropped[DUE] += draft.kind is Kind.ACTION and draft.due is not None and due is None
        kept.append(
            Extraction(
                draft.kind,
                draft.text,
                tuple(segment.id for segment in cited),
                made_by[:120],
                round(max(_LEAST_CONFIDENCE, _CONFIDENCE[draft.kind] - 0.001 * place), 4),
                owner,
                due.day if due else None,
                due.words if due else None,
            )
        )
    return Checked(tuple(kept), {name: count for name, count in dropped.items() if count})


def is_supported(text: str, cited: Sequence[Segment], transcript: Transcript, *, is_proposal: bool = False) -> bool:
    """Whether a note shares enough content words with what it cites, and holds no number that is not there."""
    heard = " ".join(segment.text for segment in cited)
    if set(_NUMBER.findall(_narrow(text))) - set(_NUMBER.findall(_narrow(heard))):
        return False
    # Who spoke is known without being said.
    names = _roots(" ".join(transcript.speakers))
    told = _roots(text) - names
    shared = told & _roots(heard)
    least = LEAST_SHARED_PROPOSAL if is_proposal else LEAST_SHARED
    return len(shared) >= min(FEWEST_SHARED, len(told)) and len(shared) >= least * len(told) and bool(told)


def owner_of(name: str | None, cited: Sequence[Segment], transcript: Transcript) -> str | None:
    """The label of whoever a model named, or a name that the cited words hold; None for everybody and nobody."""
    called = (name or "").strip().removesuffix("さん").removesuffix("様").removesuffix("氏").strip()
    plain = called.casefold()
    if not plain or plain in _NOBODY:
        return None
    if plain in _SELF:
        return cited[0].speaker or None
    people = transcript.speakers
    labels = [label for label in people if label.casefold() == plain]
    labels = labels or [label for label in people if _is_part_of(plain, label.casefold())]
    if len(labels) == 1:
        return labels[0]
    heard = " ".join(segment.text for segment in cited)
    edge = r"\b" if called.isascii() else ""
    is_named = re.search(rf"{edge}{re.escape(called)}{edge}", heard) is not None
    return called if is_named and not is_common(plain) and not labels else None


def due_of(said: str | None, cited: Sequence[Segment], transcript: Transcript) -> dates.Due | None:
    """The day that the rules of dates find in the cited words, the one a model named where there are several."""
    if said is None:
        return None
    language, held_on = transcript.language, transcript.held_on
    found = [due for segment in cited for due in dates.find(segment.text, language, held_on)]
    meant = [due for due in found if _overlap(due.words, said)]
    return dates.foremost(meant or found)


def _is_part_of(plain: str, label: str) -> bool:
    is_surname = not plain.isascii() and len(plain) >= 2 and label.startswith(plain)
    return is_surname or plain in re.split(r"[\s・,]+", label)


def _overlap(one: str, other: str) -> bool:
    one, other = _narrow(one).casefold(), _narrow(other).casefold()
    return one in other or other in one


def _narrow(text: str) -> str:
    return text.translate({ord("０") + digit: str(digit) for digit in range(10)})


def _roots(text: str) -> set[str]:
    """Content words by their beginnings, so that `decided` is `decide`; pairs of characters as they are."""
    return {
        word[:5] if word.isascii() else word
        for word in contents(words(text))
        if not is_common(word) and (len(word) > 1 or word.isdigit())
    }
