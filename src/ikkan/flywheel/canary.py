"""The canary: who is given the candidate, and what their outcomes allow. Pure: no database, no clock.

A trial goes shadow → canary → promoted | refused | rolled back. In the *shadow* the candidate answers unseen, and only
its guardrails count. In the *canary* a growing share of people is given it, the same people every time, and outcomes
are judged by an interval that may be looked at whenever (`arms.py`). After a promotion a *holdback* of people keeps the
model before, so that harm stays measurable and can still be taken back.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from datetime import datetime
from typing import Any, Literal, TypeAlias

import numpy as np

from ikkan.flywheel.arms import live_gain
from ikkan.flywheel.contract import Mask
from ikkan.flywheel.spending import spend
from ikkan.flywheel.statistics import Floats, Interval, betting
from ikkan.ground.ids import ArtifactId, DecisionId

State = Literal["shadow", "canary", "awaiting_signature", "promoted", "refused", "rolled_back"]
Phase = Literal["shadow", "canary", "holdback"]
Guards: TypeAlias = Mapping[str, Floats]
"""By guardrail, one number per person in [0, 1], more is better, NaN where it is not known."""


@dataclass(frozen=True, slots=True)
class Policy:
    """How a tenant tries a candidate on people. Kept with the trial, so a replay sees the terms of that day."""

    name: str
    alpha: float = 0.03
    """Over all rounds there will ever be, something no better is promoted with at most this probability."""
    harm_alpha: float = 0.05
    """A trial of something no worse is stopped with at most this probability by the outcome, and by the guardrails."""
    stages: tuple[float, ...] = (0.05, 0.25, 0.5)
    """The candidate's share of people, stage by stage."""
    stage_people: int = 40
    """People counted in a stage before the share grows."""
    fewest_people: int = 20
    most_people: int = 4_000
    """A trial that has not shown a gain by then is over."""
    shadow_people: int = 20
    shadow_s: float = 86_400.0
    """Where an app reports nothing from the shadow, it ends after this long."""
    holdback: float = 0.05
    holdback_people: int = 2_000
    """After that many people the holdback is over and everyone is served by the champion."""
    needs_signature: bool = False

    def __post_init__(self) -> None:
        assert self.stages and list(self.stages) == sorted(self.stages), "shares only grow: nobody is moved back"
        assert self.stages[0] > 0 and self.stages[-1] < 1 and 0 < self.holdback < 1, "both arms stay possible"

    @classmethod
    def read(cls, kept: Mapping[str, Any]) -> Policy:
        """The policy as it was kept; what a later version added has its default, what it dropped is ignored."""
        known = {each.name: kept[each.name] for each in fields(cls) if each.name in kept}
        return cls(**{**known, "stages": tuple(kept["stages"])})

    def as_json(self) -> dict[str, Any]:
        """For keeping."""
        return {**asdict(self), "stages": list(self.stages)}


REVERSIBLE = Policy("reversible")
"""Switches by itself, because it can switch back by itself."""
REGULATED = Policy("regulated", alpha=0.01, needs_signature=True)
"""Surer, and a person signs before anyone but the canary is served."""
POLICIES = {policy.name: policy for policy in (REVERSIBLE, REGULATED)}


@dataclass(frozen=True, slots=True)
class Trial:
    """A candidate being tried on people."""

    id: DecisionId
    """That of the decision that let it in."""
    learnable: str
    round: int
    """The how-manieth trial of this learnable, from 1: it decides what may be spent of the allowance of error."""
    candidate: ArtifactId
    champion: ArtifactId
    policy: Policy
    salt: str
    state: State
    share: float
    """Of people who are given the candidate now."""
    began_at: datetime
    phase_at: datetime
    """Outcomes recorded from here on count in this phase and stage."""
    ended_at: datetime | None
    """Nobody is assigned any more from here on."""
    until: datetime
    """What the candidate has learned from was recorded before this."""
    last: DecisionId
    """The latest decision about it."""

    @property
    def phase(self) -> Phase:
        """Under which heading evidence is kept."""
        return "shadow" if self.state == "shadow" else "holdback" if self.state == "promoted" else "canary"

    @property
    def level(self) -> float:
        """The chance that this round promotes something no better."""
        return spend(self.policy.alpha, self.round)

    @property
    def on_people(self) -> bool:
        """Whether people are given the candidate: not in the shadow, and not if the gate alone has judged it."""
        return self.share > 0

    def as_json(self) -> dict[str, Any]:
        """The trial as the command line prints it."""
        return {
            "id": self.id,
            "round": self.round,
            "state": self.state,
            "share": self.share,
            "candidate": self.candidate,
            "champion": self.champion,
            "policy": self.policy.name,
            "began_at": self.began_at.isoformat(),
        }

    def serves(self, unit: str) -> ArtifactId:
        """Which of the two answers this person while the trial is open; the shadow answers nobody."""
        assert self.ended_at is None, "after a trial the registry knows who serves"
        return self.candidate if assigned(unit, self.salt, self.share) else self.champion


@dataclass(frozen=True, slots=True)
class Evidence:
    """People's outcomes in one phase of a trial, each counted once, in the order they were counted."""

    values: Floats
    """In [0, 1], more is better."""
    treated: Mask
    shares: Floats
    """The candidate's share when this person was counted."""
    guards: Guards = field(default_factory=dict)
    """In the shadow: how much better than the champion on the same person, halved and moved to [0, 1]."""
    broken: Mapping[str, int] = field(default_factory=dict)
    """By guardrail, how many people had an intolerable outcome from the candidate."""

    def __len__(self) -> int:
        return len(self.values)


NO_EVIDENCE = Evidence(np.zeros(0), np.zeros(0, dtype=np.bool_), np.zeros(0))


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the evidence allows. `code` names the reason; `words.py` says it in a person's language."""

    code: str
    state: State
    share: float
    gain: Interval | None = None
    """Of the outcome; the lower end at the round's level, the upper end at the policy's for harm."""
    guards: Mapping[str, Interval] = field(default_factory=dict)
    details: Mapping[str, Any] = field(default_factory=dict)

    @property
    def moves(self) -> bool:
        """Whether anything changes for anyone."""
        return self.code not in ("shadowing", "collecting", "holding_back", "unsigned")


def assigned(unit: str, salt: str, share: float) -> bool:
    """Whether this unit is given the candidate; always the same answer, and who had it keeps it when the share grows.

    >>> [assigned("ada", "s", share) for share in (0.0, 1.0)]
    [False, True]
    >>> all(assigned(str(n), "s", 0.5) for n in range(99) if assigned(str(n), "s", 0.05))
    True
    """
    assert 0.0 <= share <= 1.0, "a share"
    return draw(unit, salt, "arm") < share


def draw(unit: str, salt: str, purpose: str) -> float:
    """A number in [0, 1) that looks random and is always the same; another purpose gives an unrelated one."""
    digest = hashlib.blake2b(f"{purpose}\0{unit}".encode(), key=salt.encode()[:64], digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64


def weigh(trial: Trial, evidence: Evidence, waited_s: float = 0.0, *, signature: bool = False) -> Verdict:
    """What the evidence of the trial's phase allows now. Harm comes first, whatever else is shown.

    Args:
        waited_s: how long the phase has lasted; only the shadow looks at it.
        signature: a person has signed for the candidate.
    """
    level = trial.policy.harm_alpha / max(len(evidence.guards), 1)
    guards = {name: _guarded(trial.phase, evidence, name, level) for name in sorted(evidence.guards)}
    gain = None
    if trial.state != "shadow":
        values = (evidence.values, evidence.treated, evidence.shares)
        gain = live_gain(*values, below=trial.level, above=trial.policy.harm_alpha)
    code, details = _harm(evidence, gain, guards)
    if code:
        state: State = "refused" if trial.state == "shadow" else "rolled_back"
        return Verdict(code, state, 0.0, gain, guards, details)
    if gain is None:
        return _after_shadow(trial, evidence, waited_s, guards)
    if trial.state == "promoted":
        over = len(evidence) >= trial.policy.holdback_people
        return Verdict("holdback_over" if over else "holding_back", "promoted", trial.share, gain, guards)
    return _after_canary(trial, evidence, gain, guards, signature)


Intervals: TypeAlias = Mapping[str, Interval]


def _harm(evidence: Evidence, gain: Interval | None, guards: Intervals) -> tuple[str, dict[str, Any]]:
    """The code of what is broken or shown to be worse, and which guardrail it is; an empty code if nothing is."""
    broken = next((name for name, people in sorted(evidence.broken.items()) if people), None)
    if broken is not None:
        return "guardrail_broken", {"guard": broken, "harmed": evidence.broken[broken]}
    worse = next((name for name, interval in guards.items() if interval.upper < 0), None)
    if worse is not None:
        return "guardrail_worse", {"guard": worse, "guard_gain": guards[worse].estimate}
    return ("live_worse" if gain is not None and gain.upper < 0 else ""), {}


def _after_shadow(trial: Trial, evidence: Evidence, waited_s: float, guards: Intervals) -> Verdict:
    policy = trial.policy
    if len(evidence) >= policy.shadow_people:
        return Verdict("shadow_passed", "canary", policy.stages[0], None, guards)
    if waited_s >= policy.shadow_s:
        return Verdict("shadow_waited", "canary", policy.stages[0], None, guards)
    return Verdict("shadowing", "shadow", 0.0, None, guards, {"need_people": policy.shadow_people})


def _after_canary(trial: Trial, evidence: Evidence, gain: Interval, guards: Intervals, signature: bool) -> Verdict:
    policy = trial.policy
    waiting = trial.state == "awaiting_signature"
    if waiting or (gain.lower > 0 and len(evidence) >= policy.fewest_people):
        if signature or not policy.needs_signature:
            share = 1 - policy.holdback if trial.on_people else 1.0
            return Verdict("live_better", "promoted", share, gain, guards)
        code = "unsigned" if waiting else "needs_signature"
        return Verdict(code, "awaiting_signature", trial.share, gain, guards)
    if len(evidence) >= policy.most_people:
        return Verdict("live_not_shown_better", "refused", 0.0, gain, guards)
    larger = [share for share in policy.stages if share > trial.share]
    if larger and int((evidence.shares == trial.share).sum()) >= policy.stage_people:
        return Verdict("share_grows", "canary", larger[0], gain, guards)
    return Verdict("collecting", "canary", trial.share, gain, guards)


def _guarded(phase: Phase, evidence: Evidence, name: str, level: float) -> Interval:
    """A guardrail's gain; in the shadow both answered the same people, so there it is paired."""
    values = evidence.guards[name]
    known = ~np.isnan(values)
    if phase != "shadow":
        return live_gain(values[known], evidence.treated[known], evidence.shares[known], below=level, above=level)
    n = int(known.sum())
    lower, upper = betting(values[known], 2 * level)
    return Interval(2 * float(values[known].mean()) - 1 if n else 0.0, 2 * lower - 1, 2 * upper - 1, n, n)
