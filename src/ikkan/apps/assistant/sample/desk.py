"""Eight weeks of visits from one seed: who asked what and when, in which words, and how they take a wrong answer."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta, timezone

from ikkan.apps.assistant.sample.contents import knowledge, outside, paraphrases
from ikkan.apps.assistant.sample.values import FIRM, Correction, Lang, Visit
from ikkan.apps.assistant.sample.wording import reworded

VISITS = 1500
"""How many visits the sample records."""
WEEKS = 8
SAMPLE_END = datetime(2026, 6, 30, 9, 0, tzinfo=UTC)
"""Where the visits end when nobody says otherwise, so that a seed alone repeats them."""

LANGS: tuple[Lang, ...] = ("ja", "en")
SPOKEN: tuple[tuple[Lang, ...], ...] = (("ja",), ("en",), LANGS)
OUTSIDE_SHARE = 0.06
SLIP_SHARE = 0.04
ZIPF_EXPONENT = 1.6
ZIPF_OFFSET = 10
JAPAN = timezone(timedelta(hours=9))


@dataclass(frozen=True, slots=True)
class _Person:
    subject: str
    langs: tuple[Lang, ...]
    asks: float
    names_right: float
    frowns: float
    praises: float


@dataclass(slots=True)
class _Asked:
    """How often each wording has been used, so that the least used is next."""

    times: Counter[str]

    def pick(self, texts: Sequence[str], rng: random.Random) -> str:
        fewest = min(self.times[text] for text in texts)
        text = rng.choice([text for text in texts if self.times[text] == fewest])
        self.times[text] += 1
        return text

    def unused(self, texts: Sequence[str]) -> bool:
        return any(not self.times[text] for text in texts)


def visits(seed: int, n: int = VISITS, *, end: datetime = SAMPLE_END, weeks: int = WEEKS) -> list[Visit]:
    """Record `n` visits in time order over the `weeks` before `end`, the same for the same arguments.

    Popular entries come back week after week in other words: a wording is used again only when every wording
    of every entry in that language has been used.

    Args:
        seed: any integer.
        n: how many visits.
        end: aware; no visit is later.
        weeks: how far back the first visits lie.

    >>> two = visits(7, n=2)
    >>> two == visits(7, n=2), two[0].at <= two[1].at <= SAMPLE_END
    (True, True)
    """
    assert end.tzinfo is not None, "time is aware"
    rng = random.Random(f"ikkan sample {seed}")
    people = _people(rng)
    weights = {lang: _popularity(lang, rng) for lang in LANGS}
    by_topic: dict[tuple[Lang, str], list[str]] = {(entry.lang, entry.topic): [] for entry in knowledge()}
    for entry in knowledge():
        by_topic[entry.lang, entry.topic].append(entry.entry_id)
    topic_of = {entry.entry_id: (entry.lang, entry.topic) for entry in knowledge()}
    asked = _Asked(Counter())
    recorded = []
    for number, at in enumerate(_times(rng, n, end.astimezone(UTC), weeks), 1):
        lang: Lang = rng.choice(LANGS)
        person = rng.choices(people[lang], [person.asks for person in people[lang]])[0]
        knowledge_id = None if rng.random() < OUTSIDE_SHARE else _entry(weights[lang], asked, rng)
        texts = (
            [question.text for question in outside() if question.lang == lang]
            if knowledge_id is None
            else paraphrases()[knowledge_id]
        )
        text = asked.pick(texts, rng)
        believed = knowledge_id
        if knowledge_id is not None and rng.random() < SLIP_SHARE:
            # People slip to a neighbour, not to a random page.
            believed = rng.choice([other for other in by_topic[topic_of[knowledge_id]] if other != knowledge_id])
        recorded.append(
            Visit(
                visit_id=f"visit-{seed}-{number:04d}",
                at=at,
                subject=person.subject,
                lang=lang,
                question=reworded(text, lang, rng),
                knowledge_id=knowledge_id,
                corrected_id=believed,
                correction=_correction(person, rng),
                praises=rng.random() < person.praises,
            )
        )
    return recorded


def shuffled(recorded: Sequence[Visit], seed: int) -> list[Visit]:
    """The same visits with people's beliefs permuted within each language: evidence that teaches nothing.

    The truth, the words, the people and the times stay. The gate must refuse what is learnt from these.
    """
    rng = random.Random(f"ikkan sample shuffle {seed}")
    believed: dict[str, str | None] = {}
    for lang in LANGS:
        of_lang = [visit for visit in recorded if visit.lang == lang and visit.corrected_id is not None]
        ids = [visit.corrected_id for visit in of_lang]
        rng.shuffle(ids)
        believed |= dict(zip((visit.visit_id for visit in of_lang), ids, strict=True))
    return [replace(visit, corrected_id=believed.get(visit.visit_id)) for visit in recorded]


def _people(rng: random.Random) -> dict[Lang, list[_Person]]:
    by_lang: dict[Lang, list[_Person]] = {lang: [] for lang in LANGS}
    for number in range(1, FIRM.employees + 1):
        langs = rng.choices(SPOKEN, (35, 30, 35))[0]
        helpful = rng.betavariate(9, 1.2)
        person = _Person(
            subject=f"shionagi-{number:03d}",
            langs=langs,
            asks=rng.gammavariate(2.0, 1.0) + 0.2,
            names_right=helpful,
            frowns=(1 - helpful) * 0.6,
            praises=helpful * 0.75,
        )
        for lang in langs:
            by_lang[lang].append(person)
    return by_lang


def _popularity(lang: Lang, rng: random.Random) -> dict[str, float]:
    ids = [entry.entry_id for entry in knowledge() if entry.lang == lang]
    rng.shuffle(ids)
    ids.sort(key=lambda entry_id: -len(paraphrases()[entry_id]))
    return {entry_id: (rank + ZIPF_OFFSET) ** -ZIPF_EXPONENT for rank, entry_id in enumerate(ids)}


def _entry(weights: dict[str, float], asked: _Asked, rng: random.Random) -> str:
    fresh = [entry_id for entry_id in weights if asked.unused(paraphrases()[entry_id])] or list(weights)
    return rng.choices(fresh, [weights[entry_id] for entry_id in fresh])[0]


def _correction(person: _Person, rng: random.Random) -> Correction | None:
    draw = rng.random()
    if draw < person.names_right:
        return "choice" if rng.random() < 0.65 else "edit"
    return "thumb_down" if draw < person.names_right + person.frowns else None


def _times(rng: random.Random, n: int, end: datetime, weeks: int) -> list[datetime]:
    """`n` moments in Japanese office hours on weekdays, sorted; Mondays and mornings are busier."""
    start = end - timedelta(weeks=weeks)
    days = [(start + timedelta(days=day)).astimezone(JAPAN).date() for day in range(weeks * 7 + 1)]
    days = [day for day in days if day.weekday() < 5]
    busy = [1.4 if day.weekday() == 0 else 1.0 for day in days]
    times: list[datetime] = []
    while len(times) < n:
        day = rng.choices(days, busy)[0]
        seconds = int(rng.choice((rng.triangular(8.5, 12.2, 9.3), rng.triangular(12.8, 18.8, 14.0))) * 3600)
        at = (datetime(day.year, day.month, day.day, tzinfo=JAPAN) + timedelta(seconds=seconds)).astimezone(UTC)
        if start <= at <= end:
            times.append(at)
    return sorted(times)
