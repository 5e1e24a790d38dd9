"""What people see of meetings, under `/meetings`. Begin at `views.py`."""

from ikkan.apps.meetings.pages.views import pages
from ikkan.apps.meetings.pages.words import WORDS

__all__ = ["WORDS", "pages"]
