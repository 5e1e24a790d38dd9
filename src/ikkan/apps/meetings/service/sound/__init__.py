"""The sound of meetings: sealed files that only their meeting's row opens, and reading sound of many formats."""

from ikkan.apps.meetings.service.sound.formats import Sound, open_sound
from ikkan.apps.meetings.service.sound.sealed import Growing, Sealed, seal_file
from ikkan.apps.meetings.service.sound.shelf import PCM, Shelf

__all__ = ["PCM", "Growing", "Sealed", "Shelf", "Sound", "open_sound", "seal_file"]
