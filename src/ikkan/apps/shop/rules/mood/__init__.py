"""What somebody seems to want just now, and what that does to a list.

A mood is inferred from the last half hour of what was done (`inferring.py`, by the filter of `modes.py`) or said in a
sentence or a chip (`saying.py`). What it does to scores is in `steering.py`; what is said of it in `telling.py`; what
it never looks at in `sensitive.py`.
"""

from ikkan.apps.shop.rules.mood.inferring import HALF_LIFE_S, WINDOW_S, Own, infer, own
from ikkan.apps.shop.rules.mood.saying import CHIPS, heard
from ikkan.apps.shop.rules.mood.steering import THRESHOLD, FacetTable, Seen, exploration_share, steer

__all__ = [
    "CHIPS",
    "HALF_LIFE_S",
    "THRESHOLD",
    "WINDOW_S",
    "FacetTable",
    "Own",
    "Seen",
    "exploration_share",
    "heard",
    "infer",
    "own",
    "steer",
]
