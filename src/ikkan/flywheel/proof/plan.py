"""The plan: everything that decides what will be measured, hashed before data is opened beyond its own hash."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import ikkan
from ikkan.flywheel.canary import REVERSIBLE
from ikkan.flywheel.contract import Budget
from ikkan.flywheel.gate import Terms
from ikkan.flywheel.proof.contract import World

ARMS = (
    "frozen",
    "flywheel",
    "no_gate",
    "placebo",
    "self_training",
    "oracle",
    "trivial",
    "random",
    "malicious",
)
"""In this order: each is measured beside the first, and the trivial one hears what the flywheel was told."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What will be done. Two plans with one hash measure the same."""

    learnable: str
    seeds: tuple[int, ...]
    rounds: int
    """After which something was learned; one more is measured."""
    world: Mapping[str, Any]
    """`World.facts`."""
    budget: Budget
    data: str | None
    """SHA-256 of the file, or None where the world makes its own."""
    test: str | None = None
    code: str = ""
    """SHA-256 over this package's source."""
    terms: Terms = field(default_factory=Terms)
    """Of the gate, as it serves people."""
    alpha: float = 0.05
    """Of every interval that the verdict rests on."""
    fallen: float = 0.01
    """How far below frozen the flywheel may be after any round, as a share of the metric's range."""
    nulls: int = 1_000
    null_share: float = 0.05
    """Of null challengers, at most so many may be promoted."""
    malicious: float = 0.2
    """The share of people who lie, in the arm of that name."""
    erased: float = 0.05
    """The share of people who are erased."""

    @classmethod
    def of(
        cls,
        world: World,
        *,
        seeds: int,
        rounds: int,
        first_seed: int = 0,
        data: Path | None = None,
        test: Path | None = None,
        quick: bool = False,
    ) -> Plan:
        """The plan for this world. Of the files nothing but their hashes is read."""
        return cls(
            learnable=world.learnable.name,
            seeds=tuple(range(first_seed, first_seed + seeds)),
            rounds=rounds,
            world=world.facts,
            budget=world.budget,
            data=file_hash(data) if data else None,
            test=file_hash(test) if test else None,
            code=code(),
            nulls=100 if quick else 1_000,
        )

    def as_json(self) -> dict[str, Any]:
        """The protocol, as it is hashed and printed."""
        return {**asdict(self), "arms": list(ARMS), "policy": REVERSIBLE.as_json(), "seeds": list(self.seeds)}

    def digest(self) -> str:
        """SHA-256 over the canonical JSON: sorted keys, no spaces.

        >>> from dataclasses import replace
        >>> plan = Plan("x.y", (0, 1), 3, {}, Budget(), None)
        >>> plan.digest() == replace(plan).digest() != replace(plan, fallen=0.02).digest()
        True
        """
        line = json.dumps(self.as_json(), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        return hashlib.sha256(line.encode()).hexdigest()


def file_hash(path: Path) -> str:
    """SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@cache
def code() -> str:
    """One hash over the source that runs."""
    root, hasher = Path(ikkan.__file__).parent, hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        hasher.update(f"{path.relative_to(root).as_posix()}\0{file_hash(path)}\n".encode())
    return hasher.hexdigest()
