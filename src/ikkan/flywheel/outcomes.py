"""From what an app says of its people to evidence: every number in [0, 1], more is better, each person once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

import numpy as np

from ikkan.flywheel.canary import Trial, assigned, draw
from ikkan.flywheel.contract import SHADOW, Guard, Learnable, Metric, Outcomes, Scores
from ikkan.flywheel.statistics import by_unit
from ikkan.flywheel.trials import Person, disguised
from ikkan.ground.events import IMPROVE, Event, EventReader
from ikkan.ground.ids import TenantId


class Between:
    """A reader that sees only what was recorded from `since` on and before `until`."""

    def __init__(self, events: EventReader, since: datetime, until: datetime) -> None:
        self._events, self._since, self._until = events, since, until

    @property
    def until(self) -> datetime:
        """What is not over by then is no closed case."""
        return self._until

    def read(
        self,
        names: Sequence[str],
        *,
        tenant_id: TenantId | None = None,
        purpose: str = IMPROVE,
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> Iterator[Event]:
        """See `EventReader.read`."""
        since = max(since or self._since, self._since)
        until = min(until or self._until, self._until)
        return self._events.read(names, tenant_id=tenant_id, purpose=purpose, since=since, until=until)


def newcomers(
    learnable: Learnable, events: EventReader, trial: Trial, known: Sequence[Person], first: int, now: datetime
) -> list[Person]:
    """Everyone whose outcome is known now and was not counted before in this phase, in the order to count them.

    The order depends on the person alone and not on what they were given: the statistics need that. `first` is the
    place of the first of them.
    """
    window = Between(events, trial.phase_at, now)
    theirs = learnable.outcome(window, trial.champion)
    mine = learnable.outcome(window, (SHADOW if trial.phase == "shadow" else "") + trial.candidate)
    if trial.phase == "shadow":
        told = _in_the_shadow(learnable.metric, mine, theirs)
    else:
        told = {
            **_in_an_arm(learnable.metric, theirs, trial, treated=False),
            **_in_an_arm(learnable.metric, mine, trial, treated=True),
        }
    seen = {person.unit for person in known}
    new = [unit for unit in told if disguised(unit, trial.salt) not in seen]
    new.sort(key=lambda unit: (draw(unit, trial.salt, "order"), unit))
    return [
        Person(
            unit=disguised(unit, trial.salt),
            place=first + at,
            treated=trial.phase == "shadow" or assigned(unit, trial.salt, trial.share),
            share=trial.share,
            value=told[unit].value,
            guards=told[unit].guards,
            broken=told[unit].broken,
            counted_at=now,
        )
        for at, unit in enumerate(new)
    ]


class _Told:
    """How one person fared."""

    __slots__ = ("broken", "guards", "value")

    def __init__(self, value: float, guards: dict[str, float], broken: str | None) -> None:
        self.value, self.guards, self.broken = value, guards, broken


def _in_an_arm(metric: Metric, outcomes: Outcomes, trial: Trial, *, treated: bool) -> dict[str, _Told]:
    """People who were given this arm; anyone else's outcome in it is not evidence (they came by another way)."""
    told = _averaged(metric, outcomes, harmed=treated)
    mine = {unit: one for unit, one in told.items() if assigned(unit, trial.salt, trial.share) == treated}
    for one in mine.values():
        for name, guard in outcomes.guards.items():
            if name in one.guards:
                # The candidate's head start; everybody is stretched to the range again.
                start = guard.tolerance if treated else 0.0
                one.guards[name] = (one.guards[name] + start) / (1 + guard.tolerance)
    return mine


def _in_the_shadow(metric: Metric, mine: Outcomes, theirs: Outcomes) -> dict[str, _Told]:
    """People whom the candidate answered unseen, beside what the champion did for the same people."""
    beside = _averaged(metric, theirs, harmed=False)
    told = _averaged(metric, mine, harmed=True)
    for unit, one in told.items():
        for name in list(one.guards):
            other = beside[unit].guards.get(name) if unit in beside else None
            if other is None:
                del one.guards[name]
                continue
            tolerance = mine.guards[name].tolerance
            better = (one.guards[name] - other + tolerance) / (1 + tolerance)
            one.guards[name] = (better + 1) / 2
    return told


def _averaged(metric: Metric, outcomes: Outcomes, *, harmed: bool) -> dict[str, _Told]:
    """Each person's mean outcome and guardrails. `harmed`: also whether a guardrail's intolerable end was met."""
    units = outcomes.unit_ids
    names = list(dict.fromkeys(units))
    means = by_unit(goodness(outcomes.values, outcomes.metric or metric), units)
    told = {unit: _Told(float(mean), {}, None) for unit, mean in zip(names, means, strict=True)}
    for name, guard in sorted(outcomes.guards.items()):
        known = ~np.isnan(guard.values)
        here = [unit for unit, is_known in zip(units, known, strict=True) if is_known]
        good = goodness(guard.values[known], guard.metric)
        for unit, mean in zip(dict.fromkeys(here), by_unit(good, here), strict=True):
            told[unit].guards[name] = float(mean)
        if harmed and guard.intolerable is not None:
            _mark(told, here, good, name, guard)
    return told


def _mark(told: Mapping[str, _Told], units: Sequence[str], good: Scores, name: str, guard: Guard) -> None:
    worst = float(goodness(np.array([guard.intolerable]), guard.metric)[0])
    for unit, value in zip(units, good, strict=True):
        if value <= worst and told[unit].broken is None:
            told[unit].broken = name


def goodness(values: Scores, metric: Metric) -> Scores:
    """Values as a share of the metric's range, counted from the bad end.

    >>> goodness(np.array([2.0, 10.0]), Metric("wait_s", 0.0, 10.0, "lower")).tolist()
    [0.8, 0.0]
    """
    share = (np.asarray(values, dtype=np.float64) - metric.low) / (metric.high - metric.low)
    assert not len(share) or (float(share.min()) >= -1e-9 and float(share.max()) <= 1 + 1e-9), "within the range"
    share = np.clip(share, 0.0, 1.0)
    return share if metric.direction == "higher" else 1.0 - share
