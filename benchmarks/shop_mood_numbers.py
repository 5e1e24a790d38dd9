"""Arithmetic of `shop_mood.py`: intervals over people, logistic regression, reliability, one JSON line."""

from __future__ import annotations

import json
import platform
import subprocess
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
RESAMPLED = 1_000


def interval(values: Floats, some: NDArray[np.bool_], people: NDArray[Any]) -> tuple[float, float, float]:
    """The mean, and 95 % by resampling people."""
    names, where = np.unique(people[some], return_inverse=True)
    sums, counts = np.bincount(where, values[some]), np.bincount(where)
    draw = np.random.default_rng(1).integers(len(names), size=(RESAMPLED, len(names)))
    means = sums[draw].sum(1) / counts[draw].sum(1)
    low, high = np.percentile(means, [2.5, 97.5])
    return float(values[some].mean()), float(low), float(high)


def logistic(x: Floats, y: Floats) -> Floats:
    """Weights by Newton's method, with a little ridge."""
    weights = np.zeros(x.shape[1])
    for _ in range(25):
        chance = sigmoid(x @ weights)
        slope = x.T @ (y - chance) - 0.01 * weights
        bend = (x * (chance * (1 - chance))[:, None]).T @ x + 0.01 * np.eye(len(weights))
        weights = weights + np.linalg.solve(bend, slope)
    return np.asarray(np.round(weights, 4))


def reliability(metric: str, believed: Floats, so: Floats, **more: Any) -> None:
    """Believed beside seen in five bins of equal size, and the mean gap between them."""
    order = np.array_split(np.argsort(believed), 5)
    table = [(round(float(believed[some].mean()), 3), round(float(so[some].mean()), 3), len(some)) for some in order]
    gap = sum(abs(a - b) * n for a, b, n in table) / len(so)
    say(f"{metric}_calibration_gap", gap, "probability", bins=table, auc=round(auc(believed, so), 3), **more)


def auc(score: Floats, so: Floats) -> float:
    ranks = np.argsort(np.argsort(score, kind="stable"), kind="stable") + 1.0
    for value in np.unique(score):
        ranks[score == value] = ranks[score == value].mean()
    yes = so > 0
    return float((ranks[yes].sum() - yes.sum() * (yes.sum() + 1) / 2) / max(yes.sum() * (~yes).sum(), 1))


def log_loss(chance: Floats, so: Floats) -> Floats:
    chance = np.clip(chance, 1e-6, 1 - 1e-6)
    return -(so * np.log(chance) + (1 - so) * np.log(1 - chance))


def sigmoid(x: Any) -> Any:
    return 1 / (1 + np.exp(-x))


def logit(p: Any) -> Any:
    return np.log(p / (1 - p))


def say(metric: str, value: float, unit: str, **more: Any) -> None:
    """One JSON line."""
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
    ).stdout.strip()
    more = {name: round(each, 5) if isinstance(each, float) else each for name, each in more.items()}
    print(
        json.dumps(
            {
                "metric": metric,
                "value": round(value, 5),
                "unit": unit,
                **more,
                "commit": commit,
                "machine": platform.machine(),
            }
        ),
        flush=True,
    )
