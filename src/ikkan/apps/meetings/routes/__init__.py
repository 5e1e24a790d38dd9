"""The doors of meetings. Begin at `meetings.py`; sound, uploads, the live stream and the company have files."""

from ikkan.apps.meetings.routes.meetings import routes

__all__ = ["routes"]
