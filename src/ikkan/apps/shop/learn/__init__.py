"""What the flywheel may train of the shop: `shop.next_item`, `shop.blend`, `shop.mood`,
`shop.support_intent`.

Lives here: of each, events as examples, the `Learnable`, and the world in which it is proved.
May not enter: routes and pages (contract "Every app is built the same way").
Begin at `next_item/learnable.py`.
"""

from ikkan.apps.shop.learn.blend import BlendLearnable
from ikkan.apps.shop.learn.mood import MoodLearnable
from ikkan.apps.shop.learn.next_item import NextItemLearnable
from ikkan.apps.shop.learn.support_intent import SupportIntentLearnable

__all__ = ["BlendLearnable", "MoodLearnable", "NextItemLearnable", "SupportIntentLearnable"]
