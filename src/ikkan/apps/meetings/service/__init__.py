"""Use cases of meetings: the one place where rules, store and the house meet."""

from ikkan.apps.meetings.service.drawing import Drawn, check_size, drawn, transcript_of

__all__ = ["Drawn", "check_size", "drawn", "transcript_of"]
