"""Minutes: a structured document in the meeting's language, by a form that is data, and the same as Markdown."""

from ikkan.apps.meetings.rules.minutes.building import Line, Minutes, Section, minutes
from ikkan.apps.meetings.rules.minutes.forms import FORMS, STANDARD
from ikkan.apps.meetings.rules.minutes.markdown import markdown

__all__ = ["FORMS", "STANDARD", "Line", "Minutes", "Section", "markdown", "minutes"]
