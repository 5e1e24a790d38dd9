"""Minutes and actions for other programs: Word, calendars, spreadsheets, JSON. Bytes out, nothing is written here."""

from ikkan.apps.meetings.rules.exports.calendar import calendar
from ikkan.apps.meetings.rules.exports.plain import plain
from ikkan.apps.meetings.rules.exports.table import Row, table
from ikkan.apps.meetings.rules.exports.word import word

__all__ = ["Row", "calendar", "plain", "table", "word"]
