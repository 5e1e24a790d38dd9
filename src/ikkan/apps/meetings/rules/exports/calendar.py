"""Actions with a day as iCalendar events. The same action always has the same UID: bringing it in again changes it."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from ikkan.apps.meetings.rules.exports.table import Row

_LINE_OCTETS = 73


def calendar(rows: Iterable[Row], *, now: datetime, host: str = "ikkan") -> bytes:
    """All-day events for actions that have a day; those without one are left out. RFC 5545, folded, CRLF.

    >>> from datetime import UTC, date
    >>> from ikkan.apps.meetings.values import Extraction, Item, Kind, Segment, Transcript
    >>> said = Transcript((Segment("s1", "Ada", "By Friday, yes."),), "en", title="Plan")
    >>> action = Item("a1", Extraction(Kind.ACTION, "Send it; all", ("s1",), "rule", owner="Ada", due=date(2026, 6, 5)))
    >>> text = calendar([Row(said, action, "m1")], now=datetime(2026, 6, 1, tzinfo=UTC)).decode()
    >>> [line for line in text.splitlines() if line[:7] in ("SUMMARY", "DTSTART", "UID:a1-")]
    ['UID:a1-m1@ikkan', 'DTSTART;VALUE=DATE:20260605', 'SUMMARY:Send it\\\\; all (Ada)']
    """
    lines = ["BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//ikkan//meetings//EN", "CALSCALE:GREGORIAN"]
    for row in rows:
        said = row.item.extraction
        if said.due is None:
            continue
        words = " ".join(segment.text for segment in row.transcript if segment.id in said.evidence)
        summary = f"{said.text} ({said.owner})" if said.owner else said.text
        lines += [
            "BEGIN:VEVENT",
            f"UID:{row.item.id}-{row.meeting_id}@{host}",
            f"DTSTAMP:{now:%Y%m%dT%H%M%SZ}",
            f"DTSTART;VALUE=DATE:{said.due:%Y%m%d}",
            f"DTEND;VALUE=DATE:{said.due + timedelta(days=1):%Y%m%d}",
            f"SUMMARY:{_escaped(summary)}",
            f"DESCRIPTION:{_escaped(f'{row.transcript.title}: {words}'.strip(': '))}",
            "TRANSP:TRANSPARENT",
            "END:VEVENT",
        ]
    lines.append("END:VCALENDAR")
    return "".join(f"{_folded(line)}\r\n" for line in lines).encode()


def _escaped(text: str) -> str:
    for plain, safe in (("\\", "\\\\"), (";", "\\;"), (",", "\\,"), ("\r", ""), ("\n", "\\n")):
        text = text.replace(plain, safe)
    return text


def _folded(line: str) -> str:
    """In pieces of at most 75 octets; no character is cut."""
    pieces, piece, octets = [], "", 0
    for character in line:
        size = len(character.encode())
        if octets + size > _LINE_OCTETS:
            pieces.append(piece)
            piece, octets = "", 0
        piece += character
        octets += size
    return "\r\n ".join([*pieces, piece])
