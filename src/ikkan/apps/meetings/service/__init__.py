"""Use cases of meetings: the one place where rules, store and the house meet. Begin at `meetings.py`."""

from ikkan.apps.meetings.service.drawing import Drawn, check_size, drawn, transcript_of
from ikkan.apps.meetings.service.exporting import FORMATS, Export, export, export_actions
from ikkan.apps.meetings.service.meetings import DRAW, MeetingsService

__all__ = [
    "DRAW",
    "FORMATS",
    "Drawn",
    "Export",
    "MeetingsService",
    "check_size",
    "drawn",
    "export",
    "export_actions",
    "transcript_of",
]
