"""Use cases of meetings: the one place where rules, store and the house meet. Begin at `meetings.py`."""

from ikkan.apps.meetings.service.drawing import Drawn, check_plan, check_size, drawn, is_sound, transcript_of
from ikkan.apps.meetings.service.exporting import FORMATS, Export, export, export_actions
from ikkan.apps.meetings.service.hooks import DELIVER, Hooks
from ikkan.apps.meetings.service.meetings import MeetingsService
from ikkan.apps.meetings.service.working import DRAW, fresh_plan
from ikkan.apps.meetings.service.writing import Turns, Writer, Written, level_for, writer_target

__all__ = [
    "DELIVER",
    "DRAW",
    "FORMATS",
    "Drawn",
    "Export",
    "Hooks",
    "MeetingsService",
    "Turns",
    "Writer",
    "Written",
    "check_plan",
    "check_size",
    "drawn",
    "export",
    "export_actions",
    "fresh_plan",
    "is_sound",
    "level_for",
    "transcript_of",
    "writer_target",
]
