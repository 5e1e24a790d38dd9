"""Training: small language models learn from lessons, into adapters that the engine loads while it runs.

Begin at `values.py`. Everything that imports torch is imported when a worker trains, never before.
"""

from ikkan.flywheel.training.values import Lesson, Method, Plan, Step, Tell, Trained, Turn

__all__ = ["Lesson", "Method", "Plan", "Step", "Tell", "Trained", "Turn"]
