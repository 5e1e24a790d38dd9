"""Flywheel: daily use becomes a better model, by a gate that can be trusted.

Lives here: the contract with whoever wants to learn, the leak guard, the statistics, the gate, trials on people,
drift, decisions and datasets; lineage, and the erasure of people from what was learned.
May not enter: any app, by import (contract "Rooms are stacked"): events are read by name, artifacts by id; kernels and
engines (contract "The gateway never loads kernels"); torch, except behind
`training/call.py` (`tests/flywheel/training/test_signs.py`).
Begin at `contract.py`, then `gate.py` (one turn as a pure function), `canary.py` (one trial as pure functions) and
`service/` (what is kept of them). `erasure/` begins at its own `service.py`.
"""

from ikkan.flywheel.canary import POLICIES, REGULATED, REVERSIBLE, Policy, Trial
from ikkan.flywheel.contract import (
    NO_EXAMPLES,
    NO_OUTCOMES,
    SHADOW,
    Budget,
    Examples,
    Fitted,
    Given,
    Guard,
    Learnable,
    Metric,
    Outcomes,
    Recipe,
    Shown,
)
from ikkan.flywheel.drift import Limits, Served, Watched
from ikkan.flywheel.gate import Terms
from ikkan.flywheel.nulls import null_challengers
from ikkan.flywheel.schedule import Schedule
from ikkan.flywheel.service import DECIDED, DRIFT_FOUND, Flywheel
from ikkan.flywheel.values import Decision, Explanation, OwnCorrection, Replay, Standing, Status

__all__ = [
    "DECIDED",
    "DRIFT_FOUND",
    "NO_EXAMPLES",
    "NO_OUTCOMES",
    "POLICIES",
    "REGULATED",
    "REVERSIBLE",
    "SHADOW",
    "Budget",
    "Decision",
    "Examples",
    "Explanation",
    "Fitted",
    "Flywheel",
    "Given",
    "Guard",
    "Learnable",
    "Limits",
    "Metric",
    "Outcomes",
    "OwnCorrection",
    "Policy",
    "Recipe",
    "Replay",
    "Schedule",
    "Served",
    "Shown",
    "Standing",
    "Status",
    "Terms",
    "Trial",
    "Watched",
    "null_challengers",
]
