"""The learnables `meetings.action_items` and `meetings.key_points`: which proposed lines people take in."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ikkan.apps.meetings.learn.examples import Choice, read_judgements
from ikkan.apps.meetings.learn.fit import fit
from ikkan.apps.meetings.learn.outcome import outcomes
from ikkan.apps.meetings.learn.world import MeetingsWorld
from ikkan.apps.meetings.rules.level0.correction import FILE, Correction
from ikkan.apps.meetings.rules.level0.features import Float64, Rows, stacked
from ikkan.apps.meetings.rules.level0.offered import LEARNABLES, Candidate
from ikkan.apps.meetings.rules.level0.units import words
from ikkan.apps.meetings.values import EXTRACTED, JUDGED, Kind
from ikkan.flywheel.contract import Budget, Examples, Fitted, Metric, Outcomes, Recipe, Scores, Shown
from ikkan.ground.events import EventReader
from ikkan.ground.ids import TenantId

KIND = "meetings-correction"
CONSTANT = "meetings-constant"
"""The kind of a baseline: every line alike."""
WORDS = "meetings-words"
"""The kind of a baseline that lives for one proof: words stand in it."""
_REMEMBERED = 100_000


class CandidateLearnable:
    """Learns which lines of a kind people take in. Implements `ikkan.flywheel.contract.Learnable`.

    Args:
        kind: actions or key points.
        tenant_id: whose events to learn from; None: everyone's.
        tried_on_people: whether people judge a candidate before it serves everyone; else the gate alone does.
    """

    verbatim: frozenset[str] = frozenset()
    metric = Metric(
        name="stands_above",
        title={
            "ja": "採用された行が、同じ会議の却下された行より上にある割合",
            "en": "share of a meeting's rejected lines that a line taken in stands above",
        },
    )

    def __init__(self, kind: Kind, *, tenant_id: TenantId | None = None, tried_on_people: bool = False) -> None:
        self.name = LEARNABLES[kind]
        self.kind = kind
        self._tenant_id = tenant_id
        self._tried_on_people = tried_on_people
        self._rows: dict[Candidate, Rows] = {}

    def examples(self, events: EventReader, until: datetime, background: Mapping[str, bytes] | None = None) -> Examples:
        """Lines that people took in before `until`, each beside the rejected ones of its meeting."""
        return read_judgements(events.read([EXTRACTED, JUDGED], tenant_id=self._tenant_id, until=until), self.kind)

    def train(self, examples: Examples, budget: Budget, seed: int) -> Fitted:
        """Fit from the shipped weights. The fit is exact, so the seed changes nothing; it is recorded all the same."""
        taught = examples.take(examples.teaches)
        latest = taught.take(np.arange(max(0, len(taught) - budget.examples), len(taught)))
        lines = [line for choice in latest.inputs for line in choice.lines]
        starts = _starts(latest.inputs)
        wanted = starts + [choice.wanted(truth) for choice, truth in zip(latest.inputs, latest.truths, strict=True)]
        found = fit([self._row(line) for line in lines], bases(lines), starts, wanted.astype(np.int64))
        facts = {"lessons": len(latest), "lines": len(lines), "columns": len(found.columns)}
        return Fitted(KIND, {FILE: found.pack()}, facts)

    def score(self, fitted: Fitted, examples: Examples) -> Scores:
        """The share of the rejected lines of its meeting that each line taken in stands above; ties count half."""
        choices: Sequence[Choice] = examples.inputs
        # A line stands in many lists, and is weighed once.
        place = {line: at for at, line in enumerate(dict.fromkeys(line for each in choices for line in each.lines))}
        worth = self.ranked(fitted, list(place))
        rows = zip(choices, examples.truths, strict=True)
        return np.array([stands_above(worth[[place[line] for line in each.lines]], each.wanted(t)) for each, t in rows])

    def show(self, fitted: Fitted, examples: Examples) -> Sequence[Shown]:
        """The lines of each list together, which of them would stand first, and which was taken in."""
        found = []
        for choice, truth in zip(examples.inputs, examples.truths, strict=True):
            first = int(np.argmax(self.ranked(fitted, choice.lines)))
            lines = " / ".join(line.text for line in choice.lines)
            found.append(Shown(lines, choice.lines[first].text, choice.lines[choice.wanted(truth)].text))
        return found

    def outcome(self, events: EventReader, arm: str) -> Outcomes:
        """Which share of what was proposed people took in within a week (`outcome.py`)."""
        return outcomes(events, self.kind, arm, self._tenant_id, declared=self._tried_on_people)

    def baselines(self) -> Mapping[str, Recipe]:
        """Every line alike, as if all were accepted, or none; the shipped weights as they are."""
        shipped = Correction.none().pack()
        return {
            "all_alike": lambda examples, budget, seed: Fitted(CONSTANT, {}),
            "shipped": lambda examples, budget, seed: Fitted(KIND, {FILE: shipped}),
        }

    def world(self, data: Path | None, *, quick: bool = False) -> MeetingsWorld:
        """Where it can be proved that people's judgements teach. See `proof.Provable`."""
        return MeetingsWorld(CandidateLearnable(self.kind), data, quick=quick)

    def words(self, examples: Examples, budget: Budget, seed: int) -> Fitted:
        """How much likelier each word is in lines taken in than in rejected ones, and nothing else."""
        taught = examples.take(examples.teaches)
        said: dict[bool, Counter[str]] = {True: Counter(), False: Counter()}
        for choice, truth in zip(taught.inputs, taught.truths, strict=True):
            for at, line in enumerate(choice.lines):
                said[at == choice.wanted(truth)].update(set(words(line.text)))
        sums = {side: sum(each.values()) + 1 for side, each in said.items()}
        weigh = {
            word: float(np.log((said[True][word] + 1) / sums[True]) - np.log((said[False][word] + 1) / sums[False]))
            for word in sorted({*said[True], *said[False]})
        }
        return Fitted(WORDS, {"words.json": json.dumps(weigh, ensure_ascii=False).encode()})

    def ranked(self, fitted: Fitted, lines: Sequence[Candidate]) -> Float64:
        """What each line is worth; the higher stands first."""
        if not lines or fitted.kind == CONSTANT:
            return np.zeros(len(lines))
        if fitted.kind == WORDS:
            weigh = json.loads(fitted.files["words.json"])
            return np.array([sum(weigh.get(word, 0.0) for word in set(words(line.text))) for line in lines])
        turn = Correction.unpack(fitted.files[FILE]).weights()
        return bases(lines) + stacked([self._row(line) for line in lines]).times(turn)

    def _row(self, line: Candidate) -> Rows:
        """What was read is remembered: a gate asks all contestants the same."""
        if line not in self._rows:
            if len(self._rows) >= _REMEMBERED:
                self._rows = {}
            self._rows[line] = line.row()
        return self._rows[line]


def bases(lines: Sequence[Candidate]) -> Float64:
    """Log-odds of lines by the shipped weights."""
    return np.array([line.base for line in lines], dtype=np.float64)


def stands_above(worth: Float64, at: int) -> float:
    """The share of the other lines that one stands above, half for those beside it.

    >>> stands_above(np.array([3.0, 1.0, 2.0, 2.0]), 2)
    0.5
    """
    others = len(worth) - 1
    if not others:
        return 0.5
    below, beside = int((worth < worth[at]).sum()), int((worth == worth[at]).sum()) - 1
    return (below + beside / 2) / others


def _starts(choices: Sequence[Choice]) -> NDArray[np.int64]:
    """Where the lines of each choice begin, all put in a row."""
    return np.cumsum([0, *(len(choice.lines) for choice in choices)])[:-1].astype(np.int64)
