"""Level 0: what is drawn out of a meeting when no language model is at hand.

Lives here: a transcript cut into sentences (`units.py`), sentences as numbers (`features.py`), what was learned from
meetings (`model.py`, and how in `train.py`), chapters, key points, actions, and cue words of three languages.
May not enter: a language model, the network, packages that the base install lacks (contract "Rules are pure").
Begin at `drawn.py`: `extract` is the one door.
"""

from ikkan.apps.meetings.rules.level0.drawn import extract, spelled

__all__ = ["extract", "spelled"]
