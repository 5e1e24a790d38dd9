"""What was measured, line by line, beside the report: a run that was killed goes on where it was."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ikkan.flywheel.contract import Fitted
from ikkan.flywheel.proof.plan import Plan
from ikkan.ground.artifacts import ArtifactStore
from ikkan.ground.errors import Conflict
from ikkan.ground.ids import ArtifactId


@dataclass(frozen=True, slots=True)
class Step:
    """One arm in one round: how it served visits that nobody had learned from, and what it then learned."""

    seed: int
    arm: str
    round: int
    scores: tuple[float, ...]
    """One for each visit of the round."""
    serves: str | None
    """The artifact that serves from the next round on; None where nothing does that could be kept."""
    said: int
    """On how many visits people said something."""
    decision: Mapping[str, Any] | None
    """What the gate said; None where nobody asked it."""
    seconds: float


class Journal:
    """Steps of one plan, in a file of JSON lines, and the artifacts that served, in a folder beside it.

    Raises:
        Conflict: the file is of another plan.
    """

    def __init__(self, path: Path, plan: Plan) -> None:
        self._path = path
        self._folder = path.with_name(path.name + ".artifacts")
        self.artifacts = ArtifactStore(self._folder)
        self._steps: dict[tuple[int, str], list[Step]] = {}
        self.resumed = self._read(plan)
        """How many steps an earlier run left."""

    def steps(self, seed: int, arm: str) -> list[Step]:
        """What is known of an arm, in the order of rounds."""
        return list(self._steps.get((seed, arm), ()))

    def add(self, step: Step) -> None:
        """Keep a step; on disk when this returns."""
        self._write(asdict(step))
        self._steps.setdefault((step.seed, step.arm), []).append(step)

    def keep(self, fitted: Fitted) -> ArtifactId:
        """Keep what was learned; its id is a hash of it."""
        return self.artifacts.put(fitted.files, kind=fitted.kind, source="proof", facts=fitted.facts).id

    def load(self, artifact_id: str) -> Fitted:
        """What was kept."""
        return Fitted.read(self.artifacts.get(ArtifactId(artifact_id)))

    def close(self) -> None:
        """The proof is written down: what was only needed to go on may go."""
        self._path.unlink(missing_ok=True)
        shutil.rmtree(self._folder, ignore_errors=True)

    def _read(self, plan: Plan) -> int:
        digest = plan.digest()
        if not self._path.exists():
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._write({"protocol_hash": digest, "protocol": plan.as_json()})
            return 0
        content = self._path.read_bytes()
        # A line without its end was being written when the run was killed.
        whole = content[: content.rfind(b"\n") + 1]
        first, *lines = whole.splitlines() or [b"{}"]
        if json.loads(first).get("protocol_hash") != digest:
            raise Conflict(
                f"{self._path} was begun under another protocol",
                hint="give --json another name, or delete that file to begin anew",
                path=str(self._path),
            )
        if len(whole) < len(content):
            self._path.write_bytes(whole)
        for line in lines:
            step = Step(**json.loads(line))
            self._steps.setdefault((step.seed, step.arm), []).append(step)
        return len(lines)

    def _write(self, line: Mapping[str, Any]) -> None:
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line, ensure_ascii=False) + "\n")
            file.flush()
            os.fsync(file.fileno())
