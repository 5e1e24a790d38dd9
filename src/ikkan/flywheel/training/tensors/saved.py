"""Where a training stands, on disk: one line of JSON, then safetensors; replaced whole."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

from ikkan.ground.errors import CheckpointFailed

Vector = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Standing:
    """Everything that the next step depends on."""

    recipe: str
    """A digest of base, lessons and plan: another training's checkpoint is not continued."""
    vectors: Mapping[str, Vector]
    """What learns, and the optimiser's two memories of it."""
    losses: tuple[float, ...]
    """Of the steps that were taken; so many were taken."""
    tokens: int
    seconds: float


def keep(standing: Standing, path: Path) -> None:
    """Replace the file at `path`, so that a reader, or a machine that loses power, finds the old one or the new one.

    Raises:
        CheckpointFailed: the disk is full or does not let us write.
    """
    body = save({name: np.ascontiguousarray(one) for name, one in standing.vectors.items()})
    head = {
        "recipe": standing.recipe,
        "losses": [one.hex() for one in standing.losses],
        "tokens": standing.tokens,
        "seconds": standing.seconds,
        "sha256": hashlib.sha256(body).hexdigest(),
    }
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with beside.open("wb") as out:
            out.write(json.dumps(head).encode() + b"\n" + body)
            out.flush()
            os.fsync(out.fileno())
        beside.replace(path)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as exc:
        beside.unlink(missing_ok=True)
        raise CheckpointFailed(
            f"the training's checkpoint could not be written: {exc.strerror}",
            hint="make room on the disk and start the training again: it goes on from the last checkpoint",
            file=path.name,
        ) from exc


def find(path: Path, recipe: str) -> Standing | str | None:
    """What was kept for this recipe; why it cannot be used; or None where there is nothing."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as exc:
        return f"the checkpoint cannot be read: {exc.strerror}"
    line, _, body = content.partition(b"\n")
    try:
        head = json.loads(line)
        if head["sha256"] != hashlib.sha256(body).hexdigest():
            return "the checkpoint is damaged"
        if head["recipe"] != recipe:
            return "the checkpoint is of another training"
        losses = tuple(float.fromhex(one) for one in head["losses"])
        return Standing(recipe, load(body), losses, int(head["tokens"]), float(head["seconds"]))
    except (ValueError, KeyError, TypeError, SafetensorError):
        return "the checkpoint is damaged"
