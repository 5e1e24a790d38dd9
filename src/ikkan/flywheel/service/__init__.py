"""Service: the use cases of the wheel, where gate, tables and files meet.

Lives here: turning it, deciding by hand, trials on people, and decisions looked at again.
May not enter: what a learnable is made of; HTTP and words for people (`words.py` has those).
Begin at `wheel.py`; every decision is written by `book.py`.
"""

from ikkan.flywheel.service.book import DECIDED, DRIFT_FOUND, Aliases, EventBook
from ikkan.flywheel.service.wheel import Flywheel, Progress

__all__ = ["DECIDED", "DRIFT_FOUND", "Aliases", "EventBook", "Flywheel", "Progress"]
