"""Rows that were not taken, as a report that a spreadsheet opens."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator

from ikkan.apps.shop.values.importing import Trouble


def error_rows(found: Iterator[Trouble]) -> Iterator[str]:
    """A report of rows as CSV, a line at a time. A value that a spreadsheet would run is made plain text."""
    yield "\ufeffrow,field,value,wrong,hint,code\r\n"
    for each in found:
        line = io.StringIO()
        cells = (each.row, each.field, each.value, each.wrong, each.hint, each.code)
        csv.writer(line).writerow([f"'{cell}" if str(cell)[:1] in "=+-@\t" and str(cell) else cell for cell in cells])
        yield line.getvalue()
