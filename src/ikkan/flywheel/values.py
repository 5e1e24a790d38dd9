"""What a turn of the wheel leaves behind: decisions that explain themselves and can be computed again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from ikkan.flywheel.canary import REVERSIBLE, Trial
from ikkan.flywheel.statistics import Interval
from ikkan.flywheel.stops import STOPS
from ikkan.ground.ids import ArtifactId, DecisionId

ENOUGH = 20
"""Corrections of this house's own people since the last turn that are worth another one, unless a learnable asks for
more (`contract.Patient`). What came with the sample does not count: it waits until a person turns the wheel."""

Outcome = Literal["promoted", "refused", "installed", "rolled_back", "trying", "awaiting", "kept", "drifted", "rebuilt"]
"""`trying`: on people, in the shadow or a canary; `awaiting` a signature; `kept` after a look at the holdback;
`rebuilt` without a person who was erased."""


@dataclass(frozen=True, slots=True)
class Decision:
    """One decision about a learnable, with the numbers it rests on."""

    id: DecisionId
    learnable: str
    decided_at: datetime
    decision: Outcome
    code: str
    """The reason as one word that is never renamed."""
    reasons: Mapping[str, str]
    """The reason in words, by language (`en`, `ja`)."""
    champion: ArtifactId | None
    """Who served when it was decided."""
    candidate: ArtifactId | None
    """Who serves if it was promoted, installed or brought back; else who was judged, if anyone was."""
    judged: ArtifactId | None
    """Who was judged: the candidate before its refit."""
    dataset: ArtifactId | None
    until: datetime
    """Events recorded before this were read."""
    seed: int
    drill: bool
    """Shuffled corrections: a test of the gate. Nothing is ever promoted by a drill."""
    digest: str
    """Over the examples; the same digest is the same evidence."""
    n: int
    """Judging examples; people, where a trial on them was weighed."""
    gain: float | None
    """In the metric's unit; on live outcomes, as a share of their range."""
    lower: float | None
    upper: float | None
    numbers: Mapping[str, Any]
    """Everything else: slices, baselines, scores, split, terms, risks, own corrections."""

    @property
    def is_turn(self) -> bool:
        """Whether it is the end of a turn of the wheel: not a look at a trial, a drill, a person's own deed,
        or a turn that broke off."""
        ends = self.decision in ("promoted", "refused", "trying", "awaiting")
        return (
            ends
            and not self.drill
            and "trial" not in self.numbers
            and self.code
            not in (
                "forced",
                "erased_meanwhile",
                *STOPS,
            )
        )

    @property
    def reason(self) -> str:
        """The reason in English."""
        return self.reasons["en"]

    def as_json(self) -> dict[str, Any]:
        """The decision as the command line prints it."""
        return {
            "decision": self.decision,
            "reason": self.reasons["en"],
            "reason_ja": self.reasons["ja"],
            "code": self.code,
            "champion": self.champion,
            "candidate": self.candidate,
            "n": self.n,
            "gain": self.gain,
            "lower": self.lower,
            "upper": self.upper,
            "id": self.id,
            "learnable": self.learnable,
            "decided_at": self.decided_at.isoformat(),
            "judged": self.judged,
            "dataset": self.dataset,
            "until": self.until.isoformat(),
            "seed": self.seed,
            "drill": self.drill,
            **self.numbers,
        }


@dataclass(frozen=True, slots=True)
class OwnCorrection:
    """A correction made in this house, before and after, in words: read from the log, not stored."""

    example_id: str
    question: str
    before: str | None
    """What the champion of that time says; None for "I don't know"."""
    after: str | None
    right: str | None
    before_score: float
    after_score: float


@dataclass(frozen=True, slots=True)
class Explanation:
    """A decision with what may only be read while its people agree."""

    decision: Decision
    own: tuple[OwnCorrection, ...]
    unreadable: int
    """Own corrections that were erased or whose person has refused since."""


@dataclass(frozen=True, slots=True)
class Replay:
    """A decision computed again from the stored artifacts and the event log."""

    decision: Decision
    same: bool
    differences: Mapping[str, tuple[Any, Any]]
    """Number → (recorded, computed now)."""
    missing: int
    """Examples that can no longer be read: their people were erased or have refused since."""


@dataclass(frozen=True, slots=True)
class Standing:
    """What a trial knows so far of the phase it is in."""

    phase: str
    """`shadow`, `canary` or `holdback`."""
    people: int
    people_with_candidate: int
    gain: Interval | None
    """Of the outcome, as a share of its range; None in the shadow, where only guardrails count."""
    guards: Mapping[str, Interval]

    def as_json(self) -> dict[str, Any]:
        """The standing as the command line prints it, beside the trial's own fields."""
        gain = self.gain
        return {
            "phase": self.phase,
            "people": self.people,
            "people_with_candidate": self.people_with_candidate,
            "gain": gain.estimate if gain else None,
            "lower": gain.lower if gain else None,
            "upper": gain.upper if gain else None,
            "guards": {
                name: {"n": each.n, "gain": each.estimate, "lower": each.lower, "upper": each.upper}
                for name, each in self.guards.items()
            },
        }


@dataclass(frozen=True, slots=True)
class Status:
    """Where a learnable stands."""

    learnable: str
    champion: ArtifactId | None
    previous: ArtifactId | None
    known_until: datetime | None
    """The champion learned from what was recorded before this; None: from no examples."""
    answers: int
    """Examples there are by now."""
    corrections: int
    """Those on which a person said something."""
    fresh: int
    """Those the champion has not learned from."""
    last: Decision | None
    trial: Trial | None = None
    """Who is being tried on people, or was lately and still has a holdback."""
    standing: Standing | None = None
    """What that trial knows so far."""
    own_fresh: int = 0
    """Corrections of this house's own people since the wheel was last turned: what a schedule counts."""
    enough: int = ENOUGH
    """From so many of them on it turns the wheel."""
    drift: Decision | None = None
    """The drift last found of this champion."""
    wants_turn: bool = False
    """Whether that drift still waits for a turn."""
    next_look: datetime | None = None
    """When the worker looks again; None: it has no schedule."""
    policy: str = REVERSIBLE.name
    """How this house promotes: by itself, or with a signature."""
    remark: Mapping[str, str] = field(default_factory=dict)
    """What its app has to say about how it serves now, by language (`contract.Remarks`)."""
    yen_per_success: float | None = None
    """What an answer of the champion that went well cost in the last week, those that did not included."""

    @property
    def can_roll_back(self) -> bool:
        """Whether there is someone to go back to."""
        return self.previous is not None or self.trial is not None

    def as_json(self) -> dict[str, Any]:
        """The status as the command line prints it."""
        return {
            "learnable": self.learnable,
            "champion": self.champion,
            "previous": self.previous,
            "can_roll_back": self.can_roll_back,
            "known_until": self.known_until.isoformat() if self.known_until else None,
            "answers": self.answers,
            "corrections": self.corrections,
            "fresh": self.fresh,
            "last": self.last.as_json() if self.last else None,
            "trial": self.trial.as_json() | (self.standing.as_json() if self.standing else {}) if self.trial else None,
            "own_fresh": self.own_fresh,
            "drift": self.drift.as_json() if self.drift else None,
            "wants_turn": self.wants_turn,
            "next_look": self.next_look.isoformat() if self.next_look else None,
            "policy": self.policy,
            "remark": dict(self.remark),
            "yen_per_success": self.yen_per_success,
        }
