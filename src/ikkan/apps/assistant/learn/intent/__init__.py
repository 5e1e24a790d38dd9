"""The learnable `assistant.intent`: what a text wants, with deferral. The ladder itself is `kit.intent`.

Lives here: labels as examples (`examples.py`), texts for a world without a file (`made.py`) and the `Learnable`.
May not enter: torch (contract "Tensors stay below the cloud"), routes and pages (contract "Every app is built the same
way").
Begin at `learnable.py`.
"""

from ikkan.apps.assistant.learn.intent.learnable import IntentLearnable

__all__ = ["IntentLearnable"]
