"""Transcripts as meeting tools write them, read into one shape. What is broken does not stop the rest."""

from ikkan.apps.meetings.rules.transcripts.reading import FORMATS, read

__all__ = ["FORMATS", "read"]
