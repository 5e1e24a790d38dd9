"""Tables of meetings: words, items, and the index. Whoever asks says who looks, and finds nothing else.

Begin at `meetings.py`. `visible` in it is the one place that decides what a viewer may see.
"""

from ikkan.apps.meetings.store.forgetting import forget
from ikkan.apps.meetings.store.tables import metadata

__all__ = ["forget", "metadata"]
