"""Training: small language models learn from lessons, into adapters that the engine loads while it runs.

Begin at `values.py`, then `call.py`. Everything that imports torch is in `tensors/` and is imported when a worker
trains, never before (`tests/flywheel/training/test_signs.py`).
"""

from ikkan.flywheel.training.call import likelihoods, open_base, train
from ikkan.flywheel.training.values import Lesson, Likelihood, Method, Plan, Step, Tell, Trained, Turn

__all__ = [
    "Lesson",
    "Likelihood",
    "Method",
    "Plan",
    "Step",
    "Tell",
    "Trained",
    "Turn",
    "likelihoods",
    "open_base",
    "train",
]
