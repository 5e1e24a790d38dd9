"""The learnable `shop.mood`: how far a mood moves a list, learned from visits that went on.

Lives here: visits cut in two as examples (`sessions.py`) and the `Learnable` (`learnable.py`). Moods themselves, and
what they do to scores, are `rules/mood`.
May not enter: routes and pages (contract "Every app is built the same way").
Begin at `learnable.py`.
"""

from ikkan.apps.shop.learn.mood.learnable import MoodLearnable

__all__ = ["MoodLearnable"]
