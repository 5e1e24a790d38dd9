"""A learnable small enough to see through, for tests of the wheel and of those who turn it."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime

import numpy as np

from ikkan.flywheel.contract import (
    NO_OUTCOMES,
    Budget,
    Examples,
    Fitted,
    Guard,
    Metric,
    Outcomes,
    Recipe,
    Scores,
    Shown,
)
from ikkan.flywheel.drift import Served
from ikkan.ground.events import EventReader

ANSWERED = "FakeAnswered"
"""Its event: payload `{"id", "topic", "text", "right", "slice", "own"}`."""
FARED = "FakeFared"
"""How a person fared: payload `{"arm", "value", "harm"}`, each number in [0, 1], or None where it is not known."""
WAITED = "FakeWaited"
"""What drift is looked for in: payload `{"artifact", "seconds", "score"}`."""


class FakeLearnable:
    """Learns the most frequent answer to each topic. Without examples it answers nothing.

    Args:
        sabotage: from this many lessons on, what it learns is always wrong: a recipe whose refit disappoints.
        live: whether it keeps live outcomes.
    """

    metric = Metric(name="share_right")

    def __init__(self, name: str = "fake.answer", *, sabotage: int | None = None, live: bool = False) -> None:
        self.name = name
        self.live = live
        self.sabotage = sabotage
        self.trained = 0

    def examples(self, events: EventReader, until: datetime, background: Mapping[str, bytes] | None = None) -> Examples:
        """Each event is one example."""
        rows = list(events.read([ANSWERED], until=until))
        return Examples(
            ids=tuple(str(row.payload["id"]) for row in rows),
            unit_ids=tuple(row.subject_id or "nobody" for row in rows),
            occurred_at=tuple(row.occurred_at for row in rows),
            known_at=tuple(row.occurred_at for row in rows),
            slices=tuple(str(row.payload.get("slice", "all")) for row in rows),
            keys=tuple(str(row.payload["text"]) for row in rows),
            inputs=tuple(row.payload["topic"] for row in rows),
            truths=tuple(row.payload["right"] for row in rows),
            teaches=np.ones(len(rows), dtype=np.bool_),
            own=np.array([bool(row.payload.get("own")) for row in rows], dtype=np.bool_),
            evidence=tuple((row.id,) for row in rows),
            background=background if background is not None else {"about.txt": b"fake"},
        )

    def train(self, examples: Examples, budget: Budget, seed: int) -> Fitted:
        """Count."""
        self.trained += 1
        counts: dict[str, Counter[str]] = defaultdict(Counter)
        for topic, right in zip(examples.inputs, examples.truths, strict=True):
            counts[str(topic)][str(right)] += 1
        table = {topic: min(c, key=lambda right: (-c[right], right)) for topic, c in sorted(counts.items())}
        if self.sabotage is not None and len(examples) >= self.sabotage:
            table = dict.fromkeys(table, "wrong")
        return _fitted(table)

    def score(self, fitted: Fitted, examples: Examples) -> Scores:
        """1 for the right answer, else 0."""
        said = self._say(fitted, examples)
        return np.array([float(one == right) for one, right in zip(said, examples.truths, strict=True)], dtype=float)

    def show(self, fitted: Fitted, examples: Examples) -> Sequence[Shown]:
        """Text, answer, right answer."""
        said = self._say(fitted, examples)
        return [Shown(*line) for line in zip(examples.keys, said, map(str, examples.truths), strict=True)]

    def outcome(self, events: EventReader, arm: str) -> Outcomes:
        """Each `FARED` event of this arm is one closed case; harm is a guardrail, and all of it at once intolerable."""
        if not self.live:
            return NO_OUTCOMES
        rows = [row for row in events.read([FARED]) if row.payload["arm"] == arm]
        harm = [row.payload.get("harm") for row in rows]
        harms = np.array([np.nan if value is None else value for value in harm], dtype=float)
        return Outcomes(
            unit_ids=tuple(row.subject_id or "nobody" for row in rows),
            values=np.array([row.payload["value"] for row in rows], dtype=float),
            guards={"harm": Guard(Metric("harm", direction="lower"), harms, tolerance=0.05, intolerable=1.0)},
            declared=True,
        )

    def served(self, events: EventReader, arm: str) -> Served:
        """Each `WAITED` event of this arm: a feature, and how well it went."""
        rows = [row for row in events.read([WAITED]) if row.payload["artifact"] == arm]
        return Served(
            series={"seconds": np.array([row.payload["seconds"] for row in rows], dtype=float)},
            unit_ids=tuple(row.subject_id or "nobody" for row in rows),
            scores=np.array([row.payload["score"] for row in rows], dtype=float),
        )

    def baselines(self) -> Mapping[str, Recipe]:
        """The one most frequent answer, to everything."""
        return {"majority": self._majority}

    def _majority(self, examples: Examples, budget: Budget, seed: int) -> Fitted:
        most = Counter(map(str, examples.truths)).most_common(1)
        return _fitted({"*": most[0][0]} if most else {})

    def _say(self, fitted: Fitted, examples: Examples) -> list[str | None]:
        table: dict[str, str] = json.loads(fitted.files["table.json"])
        return [table.get(str(topic), table.get("*")) for topic in examples.inputs]


def _fitted(table: Mapping[str, str]) -> Fitted:
    return Fitted("fake-table", {"table.json": json.dumps(dict(table), sort_keys=True).encode()})
