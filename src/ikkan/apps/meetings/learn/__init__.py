"""What the flywheel may train from meetings: `meetings.action_items` and `meetings.key_points`.

Lives here: people's judgements as examples (`examples.py`), the training arithmetic (`fit.py`), the `Learnable`
(`learnable.py`), how people fared (`outcome.py`), and a world in which it can be proved (`world.py`). What is learned
is `rules/level0/correction.py`: a small turn of what the shipped weights say.
May not enter: torch (contract "Tensors stay below the cloud"), routes and pages (contract "Every app is built the same
way").
Begin at `learnable.py`.
"""

from ikkan.apps.meetings.learn.learnable import CandidateLearnable

__all__ = ["CandidateLearnable"]
