"""Console: the operator's pages: what to think with, the wheel, usage, models, keys, this machine, events.

Lives here: pages and what they show, in Japanese and English, and the few choices made on them. May not enter: apps
(contract "Rooms are stacked"), kernels (contract "The gateway never loads kernels"), prices and rules of other rooms:
a page asks a service and draws the answer.
Begin at `desk.py`, what every page is handed; `home.py` is the first page anyone sees.
"""

from __future__ import annotations

from starlette.routing import BaseRoute

from ikkan.console import door, events, home, keys, machine, models, usage, wheel
from ikkan.console.desk import Desk
from ikkan.kit.errors import page_error

__all__ = ["Desk", "page_error", "routes"]


def routes(desk: Desk) -> list[BaseRoute]:
    """Every page of the house, at its absolute path."""
    rooms = (home, door, wheel, usage, models, keys, machine, events)
    return [route for room in rooms for route in room.routes(desk)]
