"""The basket is no state of its own: it is what was put in and not taken out or bought since."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ikkan.apps.shop.values import Happened


def basket_of(history: Iterable[Happened]) -> Mapping[str, int]:
    """Product → pieces, in the order in which they were put in.

    Args:
        history: of one person, oldest first.
    """
    held: dict[str, int] = {}
    for event in history:
        if event.product_id is None:
            continue
        if event.deed == "carted":
            held[event.product_id] = held.get(event.product_id, 0) + event.quantity
        elif event.deed in ("uncarted", "bought"):
            left = held.pop(event.product_id, 0) - event.quantity
            if left > 0:
                held[event.product_id] = left
    return held
