"""What a person may want next: the arithmetic of serving, in numpy alone.

Lives here: the encoder of a history as it is at this moment, counts that follow every event, the blend of both, and
the ranking that measures them. Pure: what is learnt comes in as arrays, and nothing here reads a file or trains.
May not enter: torch, kernels, I/O (contracts "Rules are pure" and "The gateway never loads kernels").
Begin at `model.py`.
"""

from __future__ import annotations

from ikkan.apps.shop.rules.next_item.blend import Blend, Recommender
from ikkan.apps.shop.rules.next_item.covisits import Covisits, Popularity
from ikkan.apps.shop.rules.next_item.model import NextItem

__all__ = ["Blend", "Covisits", "NextItem", "Popularity", "Recommender"]
