"""Proof: an experiment that says whether people's feedback, by way of the gate, makes a model better, and by how much.

Lives here: the contract with a world in which the truth is known (`contract.py`), the plan that is hashed before data
is opened (`plan.py`), the arms (`lives.py`), the stress (`stress.py`), the verdict (`verdict.py`), the report for
people (`page.py`), and labelled files (`files.py`).
May not enter: an app, by import (contract "Rooms are stacked"); thresholds of its own: the gate is `gate.turn` on the
terms that serve people.
Begin at `contract.py`, then `experiment.py`. A learnable takes part by being `Provable`; a file of its own can be
learned from and scored where it `ReadsFiles`.
"""

from ikkan.flywheel.proof.contract import Paced, Provable, ReadsFiles, Seeded, World, joined
from ikkan.flywheel.proof.experiment import prove
from ikkan.flywheel.proof.journal import Journal
from ikkan.flywheel.proof.page import page_of
from ikkan.flywheel.proof.plan import ARMS, Plan

__all__ = [
    "ARMS",
    "Journal",
    "Paced",
    "Plan",
    "Provable",
    "ReadsFiles",
    "Seeded",
    "World",
    "joined",
    "page_of",
    "prove",
]
