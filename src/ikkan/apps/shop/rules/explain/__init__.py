"""Why something is suggested, and nothing that is not so.

`because.py` takes events away one by one and sees which the suggestion hangs on; `phrasing.py` lets a model put the
reason into other words, and refuses words that say more than the reason does.
"""

from ikkan.apps.shop.rules.explain.because import LAST, Drops, because, drops
from ikkan.apps.shop.rules.explain.phrasing import phrase

__all__ = ["LAST", "Drops", "because", "drops", "phrase"]
