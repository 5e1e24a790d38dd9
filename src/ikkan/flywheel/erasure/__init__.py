"""Erasing a person from what was learned: traced, rebuilt without them, swapped, destroyed, signed for.

Begin at `service.py`: `Eraser.begin` forgets at once, `Eraser.run` does the rest, step by step. What a person is in is
found by `flywheel/lineage.py`; `rebuild.py` makes a model again, `receipt.py` signs, `store.py` keeps.
"""

from ikkan.flywheel.erasure.receipt import ReceiptKey, verify
from ikkan.flywheel.erasure.service import Eraser, People
from ikkan.flywheel.erasure.store import Erasure

__all__ = ["Eraser", "Erasure", "People", "ReceiptKey", "verify"]
