"""What people see of meetings, under `/meetings`."""

from ikkan.apps.meetings.pages.views import pages
from ikkan.apps.meetings.pages.words import WORDS

__all__ = ["WORDS", "pages"]
