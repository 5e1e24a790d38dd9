"""A person's word instead of the gate's: who, what and why are a decision of their own, and it can be taken back."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from ikkan.flywheel.values import Decision
from ikkan.ground.errors import BadInput, Conflict, UnknownArtifact
from ikkan.ground.ids import ArtifactId

NOTHING_LEARNED = datetime(1970, 1, 1, tzinfo=UTC)
"""What a model without examples has learned from was recorded before this: nothing."""
_SHORTEST = 6
_LONGEST_REASON = 2_000


def checked_reason(reason: str) -> str:
    """Why, in somebody's words.

    Raises:
        BadInput: there are none.
    """
    said = " ".join(reason.split())
    if not said:
        raise BadInput("a promotion without the gate needs a reason", hint='--reason "…"', param="reason")
    if len(said) > _LONGEST_REASON:
        raise BadInput("that reason is too long", hint=f"at most {_LONGEST_REASON:,} characters", param="reason")
    return said


def known(history: Sequence[Decision]) -> list[ArtifactId]:
    """Every artifact these decisions speak of, the latest first."""
    named = (each for decision in history for each in (decision.candidate, decision.judged, decision.champion))
    return list(dict.fromkeys(each for each in named if each is not None))


def resolve(wanted: str, artifacts: Iterable[ArtifactId]) -> ArtifactId:
    """The artifact meant by its id or by a beginning of it that means only one.

    Raises:
        UnknownArtifact: none is.
        Conflict: several are.

    >>> resolve("abcdef0", [ArtifactId("sha256:abcdef01"), ArtifactId("sha256:ffff")])
    'sha256:abcdef01'
    """
    start = wanted.strip().removeprefix("sha256:")
    found = [each for each in artifacts if each == wanted or each.removeprefix("sha256:").startswith(start)]
    if len(start) < _SHORTEST or not found:
        raise UnknownArtifact(
            f"no decision speaks of an artifact {wanted[:80]!r}",
            hint="ikkan flywheel history LEARNABLE --json names them",
            artifact=wanted[:80],
        )
    if len(found) > 1:
        raise Conflict(f"{wanted[:80]!r} may mean {len(found)} artifacts", hint="give more of its id")
    return found[0]


def learned_until(artifact: ArtifactId, history: Sequence[Decision]) -> datetime:
    """What this artifact has learned from was recorded before this, by the decision that first speaks of it."""
    for decision in reversed(history):
        if artifact in (decision.candidate, decision.judged):
            return NOTHING_LEARNED if decision.decision == "installed" else decision.until
    return NOTHING_LEARNED
