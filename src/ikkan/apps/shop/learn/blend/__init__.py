"""How much each thing that is known of a ware counts in a list: the learnable `shop.blend`.

Lives here: lists that were shown as examples (`lists.py`) and the `Learnable` (`learnable.py`); what is learned, and
how, is `rules/suggest/ranker.py`.
May not enter: requests; routes and pages (contract "Every app is built the same way").
Begin at `learnable.py`.
"""

from ikkan.apps.shop.learn.blend.learnable import BlendLearnable

__all__ = ["BlendLearnable"]
