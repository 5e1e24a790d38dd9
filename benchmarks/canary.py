"""How many candidates that are no better get through, and how many people it takes to see that one is better.

    .venv/bin/python benchmarks/canary.py --tried 1000 --seeds 60

Synthetic people with outcomes of yes or no; shares grow as the policy says. Prints one JSON line per figure.
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
from collections.abc import Sequence

import numpy as np

from ikkan.flywheel import REVERSIBLE, null_challengers
from ikkan.flywheel.arms import live_gain
from ikkan.flywheel.spending import spend

EFFECTS = (0.1, 0.2, 0.3)
MOST = 4_000


def main() -> None:
    options = argparse.ArgumentParser(description="What the canary lets through, and what it needs.")
    options.add_argument("--tried", type=int, default=1_000)
    options.add_argument("--seeds", type=int, default=60)
    given = options.parse_args()
    for live in (True, False):
        tally = null_challengers(given.tried, live=live)
        where = "screen_and_canary" if live else "gate_alone"
        say("null_promoted", tally.promoted, "candidates", tried=tally.tried, where=where, ends=tally.ends)
    for round_number in (1, 100):
        for effect in EFFECTS:
            needed = [people_needed(seed, effect, round_number) for seed in range(given.seeds)]
            median, most = np.quantile(needed, [0.5, 0.8])
            say("people_needed", int(median), "people", effect=effect, round=round_number, four_in_five=int(most))


def people_needed(seed: int, effect: float, round_number: int) -> int:
    """After how many people the lower end is above zero; `MOST` if it never is."""
    rng = np.random.default_rng([seed, 7])
    stages = REVERSIBLE.stages
    shares = np.full(MOST, stages[-1])
    for at, share in enumerate(stages[:-1]):
        shares[at * REVERSIBLE.stage_people : (at + 1) * REVERSIBLE.stage_people] = share
    treated = rng.random(MOST) < shares
    values = (rng.random(MOST) < 0.5 - effect / 2 + effect * treated).astype(np.float64)
    below = spend(REVERSIBLE.alpha, round_number)
    low, high = 0, MOST
    # What a look has shown stays shown, so the first look that shows it is found by halving.
    while high - low > 1:
        middle = (low + high) // 2
        if live_gain(values[:middle], treated[:middle], shares[:middle], below=below).lower > 0:
            high = middle
        else:
            low = middle
    return high


def say(metric: str, value: float, unit: str, **facts: float | str | dict[str, int] | Sequence[float]) -> None:
    print(json.dumps({"metric": metric, "value": value, "unit": unit, **facts, "commit": commit(), **machine()}))


def machine() -> dict[str, str]:
    return {"machine": platform.machine(), "python": platform.python_version(), "numpy": np.__version__}


def commit() -> str:
    """The commit this was measured at."""
    done = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    return done.stdout.strip()


if __name__ == "__main__":
    main()
