"""Why something is suggested, and nothing that is not so.

`because.py` takes events away one by one and sees which the suggestion hangs on; `phrases.py` has its words.
"""

from ikkan.apps.shop.rules.explain.because import LAST, Drops, because, drops

__all__ = ["LAST", "Drops", "because", "drops"]
