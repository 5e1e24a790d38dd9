"""Training: small language models learn from lessons, into adapters that the engine loads while it runs;
encoders learn to sort texts into classes.

Begin at `values.py`, then `call.py`. Everything that imports torch is in `tensors/` and is imported when a worker
trains, never before (`tests/flywheel/training/test_signs.py`).
"""

from ikkan.flywheel.training.call import can_train, learn_to_sort, likelihoods, open_base, train
from ikkan.flywheel.training.values import (
    Keep,
    Lesson,
    Likelihood,
    Method,
    Plan,
    Sorter,
    SortingPlan,
    Step,
    Tell,
    Trained,
    Turn,
)

__all__ = [
    "Keep",
    "Lesson",
    "Likelihood",
    "Method",
    "Plan",
    "Sorter",
    "SortingPlan",
    "Step",
    "Tell",
    "Trained",
    "Turn",
    "can_train",
    "learn_to_sort",
    "likelihoods",
    "open_base",
    "train",
]
