"""A world in which it is known which lines of a meeting are wanted, and people say so as people do.

Implements `ikkan.flywheel.proof.World`. Meetings come from annotated records (AMI, `rules/level0/corpus.py`) or from
`made.py`. The weights that ship with this app were learned from AMI, so nothing of them is used here: the base of
actions is cue words alone, which is what ships for every language and trade in which nothing was learned; that of key
points, which no words announce, is their length. Nobody was heard before the first visit, so the frozen champion is
that base.

People read the transcript beside the list, meeting by meeting, series by series. Each takes in lines that they said
themselves; lines that nobody wants are there for anybody to reject, those that the base proposes more often. One
person's review of one meeting is a unit.
"""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ikkan.apps.meetings.learn.examples import Choice, example_id, review_of
from ikkan.apps.meetings.learn.made import made
from ikkan.apps.meetings.rules.level0.chances import BARE, by_cue, lengths_of, log_odds, room_of
from ikkan.apps.meetings.rules.level0.corpus import lesson_of
from ikkan.apps.meetings.rules.level0.features import AROUND, Float64, marks
from ikkan.apps.meetings.rules.level0.model import SHORTEST_WORDS
from ikkan.apps.meetings.rules.level0.offered import QUESTIONS, Candidate
from ikkan.apps.meetings.rules.level0.train import Lesson
from ikkan.apps.meetings.rules.level0.units import Unit
from ikkan.apps.meetings.values import Kind
from ikkan.flywheel.contract import Budget, Examples, Fitted, Recipe, Scores
from ikkan.flywheel.proof import joined
from ikkan.ground.errors import BadFile, NotFound

if TYPE_CHECKING:
    from ikkan.apps.meetings.learn.learnable import CandidateLearnable

SPEAKS = 0.9
"""This share of people say anything of a meeting."""
ACCEPTS = 0.9
"""Of the wanted lines each of those people takes in this share."""
REJECTS_PROPOSED, REJECTS_OTHERS = 0.5, 0.03
"""Of the other lines this share is rejected: of those that the base proposes, and of the rest."""
MISTAKEN = 0.05
"""This share of what is taken in is another line than the one that is wanted."""
MOST_WANTED = 12
"""Wanted lines of one meeting that are visited: as many as any meeting of AMI has actions. Key points have more."""
FEWEST_SERIES = 6
_BARE = round(float(log_odds(np.array([BARE]))[0]), 4)
_BASES = {Kind.ACTION: "cue words", Kind.KEY_POINT: "length"}
_LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)


class MeetingsWorld:
    """Meetings, one after the other, with those who spoke in them.

    Args:
        data: annotated records, one JSON object a line, gzip or plain; None: meetings that are made.
    """

    budget = Budget()

    def __init__(self, learnable: CandidateLearnable, data: Path | None, *, quick: bool = False) -> None:
        self.learnable = learnable
        self.rounds, self.seeds = 3, 20
        self._data = data
        self._question = QUESTIONS[learnable.kind]
        self._made = (16, 4) if quick else (26, 4)
        self.facts: Mapping[str, Any] = {
            "meetings": "file" if data else "made",
            "made": list(self._made),
            "question": self._question,
            "base": _BASES[learnable.kind],
            "speaks": SPEAKS,
            "accepts": ACCEPTS,
            "rejects_proposed": REJECTS_PROPOSED,
            "rejects_others": REJECTS_OTHERS,
            "mistaken": MISTAKEN,
            "most_wanted": MOST_WANTED,
        }

    def warm_up(self, seed: int) -> Examples:
        """The first series. It teaches nothing: the frozen champion is what was shipped."""
        return replace(self._series(seed)[0], teaches=np.zeros(len(self._series(seed)[0]), dtype=np.bool_))

    def visits(self, seed: int, rounds: int) -> Sequence[Examples]:
        """The series after it, as many a round as there are for each.

        Raises:
            BadFile: there are fewer series than rounds.
        """
        visited = self._series(seed)[1:]
        if len(visited) < rounds:
            raise BadFile(
                f"{len(visited)} series of meetings are left to visit, too few for {rounds} rounds", hint="fewer rounds"
            )
        parts = np.array_split(np.arange(len(visited)), rounds)
        return [joined(*(visited[at] for at in part.tolist())) for part in parts]

    def told(self, visits: Examples, scores: Scores, rng: np.random.Generator) -> Examples:
        """What some people took in and what was rejected beside it, half an hour later, whatever stood on top."""
        people = sorted(set(visits.unit_ids))
        silent = {person for person, draw in zip(people, rng.random(len(people)), strict=True) if draw >= SPEAKS}
        speaks = rng.random(len(visits)) < ACCEPTS
        mistaken = rng.random(len(visits)) < MISTAKEN
        rejected: dict[str, np.ndarray] = {}
        said: list[tuple[int, Choice, int]] = []
        for at, (choice, truth) in enumerate(zip(visits.inputs, visits.truths, strict=True)):
            meeting = choice.lines[0].meeting
            # Nearly the same lines of a meeting are rejected whichever of the wanted ones stands beside them.
            if meeting not in rejected:
                shares = [REJECTS_PROPOSED if line.base > _BARE else REJECTS_OTHERS for line in choice.lines]
                rejected[meeting] = rng.random(len(shares)) < shares
            wanted = int(rng.integers(len(choice.lines))) if mistaken[at] else int(truth)
            kept = [line for line in range(len(choice.lines)) if line == wanted or rejected[meeting][line]]
            if speaks[at] and visits.unit_ids[at] not in silent and len(kept) > 1:
                said.append((at, Choice(tuple(choice.lines[line] for line in kept)), kept.index(wanted)))
        told = visits.take([at for at, *_ in said])
        later = tuple(moment + timedelta(minutes=30) for moment in told.occurred_at)
        inputs, truths = tuple(choice for _, choice, _ in said), tuple(place for *_, place in said)
        return replace(told, inputs=inputs, truths=truths, known_at=later)

    def poisoned(self, said: Examples, share: float, rng: np.random.Generator) -> Examples:
        """Liars take in what the base thinks least likely."""
        truths = tuple(
            len(choice.lines) - 1 if _lies(unit, share) else truth
            for unit, choice, truth in zip(said.unit_ids, said.inputs, said.truths, strict=True)
        )
        return replace(said, truths=truths)

    def self_labelled(self, fitted: Fitted, visits: Examples) -> Examples:
        """Every list, as if the line that stands first were the wanted one."""
        first = tuple(int(np.argmax(self.learnable.ranked(fitted, choice.lines))) for choice in visits.inputs)
        return replace(visits, truths=first, teaches=np.ones(len(visits), dtype=np.bool_))

    def at_random(self, visits: Examples, rng: np.random.Generator) -> Scores:
        """Lines in any order."""
        return rng.random(len(visits))

    def trivial(self) -> tuple[str, Recipe]:
        """The words of accepted lines against those of rejected ones, without knowing anything of meetings."""
        return "words", self.learnable.words

    # ---- private -----------------------------------------------------------------------------------------------------

    @cached_property
    def _meetings(self) -> tuple[tuple[str, Examples], ...]:
        """Every meeting with anything wanted in it, after the name of its series."""
        records = _read(self._data) if self._data else made(*self._made)
        found = []
        for record in records:
            one = lesson_of(record, questions=(self._question,))
            examples = self._wanted(one)
            if len(examples):
                found.append((one.group, examples))
        if len({name for name, _ in found}) < FEWEST_SERIES:
            raise BadFile(f"fewer than {FEWEST_SERIES} series of meetings", hint="records of AMI, one a line")
        return tuple(found)

    def _series(self, seed: int) -> tuple[Examples, ...]:
        """Each series in the order of this seed, its meetings three hours apart."""
        names = sorted({name for name, _ in self._meetings})
        place = {names[at]: number for number, at in enumerate(_order(seed, len(names)))}
        ordered = sorted(self._meetings, key=lambda meeting: place[meeting[0]])
        series: dict[str, list[Examples]] = {}
        for hour, (name, examples) in enumerate(ordered):
            moments = (_LONG_AGO + timedelta(hours=3 * hour),) * len(examples)
            series.setdefault(name, []).append(replace(examples, occurred_at=moments, known_at=moments))
        return tuple(joined(*parts) for parts in series.values())

    def _wanted(self, one: Lesson) -> Examples:
        """One example for each wanted line of a meeting, beside all that nobody wants."""
        base, of_each = _base(one.units, self.learnable.kind), marks(one.units)
        places = [at for at, unit in enumerate(one.units) if len(unit.words) >= SHORTEST_WORDS]
        lines = {
            at: Candidate(
                one.name,
                "en",
                tuple(unit.text for unit in one.units[max(0, at - AROUND) : at + AROUND + 1]),
                min(at, AROUND),
                tuple(of_each[at]),
                round(float(base[at]), 4),
            )
            for at in sorted(places, key=lambda at: (-base[at], at))
        }
        is_wanted = one.marks[self._question]
        every = [at for at in places if is_wanted[at]]
        found = every[:: max(1, -(-len(every) // MOST_WANTED))]
        choices = []
        for wanted in found:
            stands = [at for at in lines if at == wanted or not is_wanted[at]]
            choices.append((Choice(tuple(lines[at] for at in stands)), stands.index(wanted)))
        ids = tuple(example_id(one.name, f"{one.units[at].segment_id} {at}") for at in found)
        return Examples(
            ids=ids,
            unit_ids=tuple(review_of(one.units[at].speaker, one.name) for at in found),
            occurred_at=(_LONG_AGO,) * len(found),
            known_at=(_LONG_AGO,) * len(found),
            slices=("en",) * len(found),
            keys=tuple(lines[at].text for at in found),
            inputs=tuple(choice for choice, _ in choices),
            truths=tuple(place for _, place in choices),
            teaches=np.ones(len(found), dtype=np.bool_),
            own=np.zeros(len(found), dtype=np.bool_),
            evidence=tuple((id,) for id in ids),
        )


def _base(meeting: Sequence[Unit], kind: Kind) -> Float64:
    """Log-odds of every unit where nothing was learned; above `_BARE` it is proposed."""
    if kind is Kind.ACTION:
        return log_odds(by_cue(meeting, "en", "action", np.zeros(len(meeting))))
    lengths = np.maximum(lengths_of(meeting), 1)
    room = min(len(meeting), room_of(float(lengths.sum())))
    return np.asarray(_BARE + np.log(lengths / np.sort(lengths)[-room]))


def _order(seed: int, count: int) -> list[int]:
    drawn: list[int] = np.random.default_rng([seed, 0x5E71E5]).permutation(count).tolist()
    return drawn


def _read(path: Path) -> list[dict[str, Any]]:
    """Annotated records, one a line.

    Raises:
        NotFound: there is no such file.
        BadFile: it is not such a file.
    """
    if not path.is_file():
        raise NotFound(f"there is no file {path}", hint="records of AMI, one JSON object a line", path=str(path))
    try:
        data = path.read_bytes()
        text = gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data
        records = [json.loads(line) for line in text.splitlines() if line.strip()]
        wanted = all({"meeting", "summary", "dialogue_acts"} <= record.keys() for record in records)
    except (OSError, EOFError, ValueError, AttributeError) as error:
        raise BadFile(f"{path.name} holds no records: {error}", hint="one JSON object a line") from error
    if not records or not wanted:
        raise BadFile(f"{path.name} lacks meeting, summary or dialogue_acts", hint="records as AMI has them")
    return records


def _lies(unit: str, share: float) -> bool:
    """The same people lie in every round."""
    return int.from_bytes(hashlib.sha256(f"lies {unit}".encode()).digest()[:8], "big") < share * 2**64
