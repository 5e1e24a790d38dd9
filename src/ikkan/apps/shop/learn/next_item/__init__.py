"""What comes next: the learnable `shop.next_item`, its light model and the larger one above it.

Lives here: what happened as visits (`events.py`, `visits.py`), the `Learnable` (`learnable.py`), how people fared
(`outcome.py`), and the world in which it is proved (`world.py`); its light model is `rules/factors.py`. Of the larger
one: when it learns (`rung.py`), the dial, the network as torch sees it, the loop with its early stop, the fit of the
blend.
May not enter: requests; torch outside `tensors.py` (contract "Tensors stay below the cloud").
Begin at `learnable.py`, or for the larger model at `training.py`.
"""

from ikkan.apps.shop.learn.next_item.learnable import NextItemLearnable

__all__ = ["NextItemLearnable"]
