"""Actions as CSV that a spreadsheet opens without harm."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from dataclasses import dataclass

from ikkan.apps.meetings.rules.items import clock
from ikkan.apps.meetings.values import Item, Transcript

COLUMNS = ("meeting", "held_on", "kind", "text", "owner", "due", "status", "done", "confidence", "time", "said")
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


@dataclass(frozen=True, slots=True)
class Row:
    """An item with the meeting it is of."""

    transcript: Transcript
    """Of the whole meeting, or only the words its item rests on."""
    item: Item
    meeting_id: str = ""


def table(rows: Iterable[Row]) -> bytes:
    """CSV in UTF-8, with the mark that spreadsheets in Japan want to see.

    >>> from ikkan.apps.meetings.values import Extraction, Kind, Segment
    >>> said = Transcript((Segment("s1", "Ada", "=SUM(A1) please", 61.0),), "en", title="Plan")
    >>> print(table([Row(said, Item("a", Extraction(Kind.ACTION, "=1+1", ("s1",), "rule")))]).decode("utf-8-sig"))
    meeting,held_on,kind,text,owner,due,status,done,confidence,time,said
    Plan,,action,'=1+1,,,open,,1.0,1:01,'=SUM(A1) please
    <BLANKLINE>
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for row in rows:
        said, held_on = row.item.extraction, row.transcript.held_on
        words = [segment for segment in row.transcript if segment.id in said.evidence]
        writer.writerow(
            [
                _cell(row.transcript.title),
                held_on.isoformat() if held_on else "",
                said.kind.value,
                _cell(said.text),
                _cell(said.owner or ""),
                said.due.isoformat() if said.due else _cell(said.due_words or ""),
                row.item.status.value,
                "yes" if row.item.is_done else "",
                round(said.confidence, 4),
                clock(words[0].start_s) if words else "",
                _cell(" ".join(segment.text for segment in words)),
            ]
        )
    return text.getvalue().encode("utf-8-sig")


def _cell(text: str) -> str:
    # What begins like a formula would be run by the spreadsheet of whoever opens it.
    return f"'{text}" if text.startswith(_FORMULA) else text
