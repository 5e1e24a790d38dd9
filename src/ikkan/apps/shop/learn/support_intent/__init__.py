"""The learnable `shop.support_intent`: what a customer's own words want of support, with deferral.

Lives here: what conversations ended in as examples (`examples.py`), sentences for a world without a file (`made.py`)
and the `Learnable` (`learnable.py`). The ladder is `kit.intent`; the rules it begins with are `rules/support/hearing`.
May not enter: routes and pages (contract "Every app is built the same way").
Begin at `learnable.py`.
"""

from ikkan.apps.shop.learn.support_intent.learnable import SupportIntentLearnable

__all__ = ["SupportIntentLearnable"]
