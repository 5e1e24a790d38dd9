"""Flywheel: daily use becomes a better model, by a gate that can be trusted.

Lives here: the contract with whoever wants to learn, the leak guard, the statistics, the gate, decisions and datasets.
May not enter: any app, by import (contract "Rooms are stacked"): events are read by name, artifacts by id; kernels and
engines (contract "The gateway never loads kernels"); torch, except inside a learnable's `train`.
Begin at `contract.py`, then `gate.py` (one turn as a pure function) and `service.py` (what is kept of it).
"""

from ikkan.flywheel.contract import (
    NO_EXAMPLES,
    Budget,
    Examples,
    Fitted,
    Learnable,
    Metric,
    Outcomes,
    Recipe,
    Shown,
)
from ikkan.flywheel.gate import Terms
from ikkan.flywheel.service import DECIDED, Flywheel
from ikkan.flywheel.values import Decision, Explanation, OwnCorrection, Replay, Status

__all__ = [
    "DECIDED",
    "NO_EXAMPLES",
    "Budget",
    "Decision",
    "Examples",
    "Explanation",
    "Fitted",
    "Flywheel",
    "Learnable",
    "Metric",
    "Outcomes",
    "OwnCorrection",
    "Recipe",
    "Replay",
    "Shown",
    "Status",
    "Terms",
]
