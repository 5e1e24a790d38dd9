"""Suggestions at request time, as a service: told events are durable and seen by the next list.

Begin at `suggesting.py`. `intake.py` gathers what several tell at once into one transaction, `memory.py` keeps shops
and people in memory as the tables have them, `showing.py` writes down what was shown, `trailing.py` brings events into
the event log, `reporting.py` says what it all earned.
"""

from ikkan.apps.shop.service.suggesting.suggesting import Suggesting

__all__ = ["Suggesting"]
