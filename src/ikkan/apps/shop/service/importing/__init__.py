"""Bringing files in: what they are (`sheets.py`), where their rows land (`landing.py`, `orders.py`), and how a whole
file gets there once and can be taken back (`importing.py`). Begin at `importing.py`."""

from ikkan.apps.shop.service.importing.importing import Importing
from ikkan.apps.shop.service.importing.job import JOB, register
from ikkan.apps.shop.service.importing.sheets import open_sheet

__all__ = ["JOB", "Importing", "open_sheet", "register"]
