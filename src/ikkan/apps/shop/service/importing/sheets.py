"""A table in a file, row by row: CSV in whatever encoding and with whatever separator, or Parquet. Memory is bounded.

Nothing here knows what the columns mean. A row that cannot be parsed is a `Trouble` in its place, not the end of the
file: a quotation mark that is never closed costs its own line and no other.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from ikkan.apps.shop.service.importing.encodings import encoding_of
from ikkan.apps.shop.values.importing import Trouble
from ikkan.ground.errors import BadFile, HostileFile, TruncatedFile, UnsupportedFormat

MOST_COLUMNS = 1_000
MOST_ROWS = 100_000_000
_LINE = 1 << 20
"""No line of a table is longer."""
_MENDED_AT_MOST = 1_000
"""So many quotation marks left open are stepped over; a file with more is not one to guess about."""
_BYTES_AT_MOST = 16 << 30
_GROUP_AT_MOST = 1 << 30
"""What a Parquet file, and one of its row groups, may unpack to."""
_BATCH = 1_000

Row = tuple[int, list[str] | Trouble]
"""A row's number, from 1, and its cells; or what is wrong with it."""

_MAGICS = {
    b"PK\x03\x04": "an Excel or zip file",
    b"\x1f\x8b": "a gzip file",
    b"BZh": "a bzip2 file",
    b"\xd0\xcf\x11\xe0": "an old Excel file",
    b"%PDF": "a PDF",
    b"\x28\xb5\x2f\xfd": "a zstd file",
    b"{": "JSON",
    b"[": "JSON",
    b"<": "XML or HTML",
}


@dataclass(frozen=True, slots=True)
class Sheet:
    """A table that can be read from its start as often as one likes."""

    path: Path
    headers: tuple[str, ...]
    encoding: str
    """Empty for Parquet."""
    delimiter: str = ""
    total: int = 0
    """How many rows, where the file says so; else a guess from its size."""

    def rows(self) -> Iterator[Row]:
        """Every row, in order."""
        return self._parquet() if not self.delimiter else self._csv()

    def head(self, most: int) -> list[list[str]]:
        """The first rows that can be read."""
        found: list[list[str]] = []
        for _, cells in self.rows():
            if isinstance(cells, list):
                found.append(cells)
            if len(found) >= most:
                break
        return found

    def _csv(self) -> Iterator[Row]:
        with _opened(self.path, self.encoding) as file:
            lines = _Lines(file)
            reader = csv.reader(lines, delimiter=self.delimiter, strict=True)
            next(reader, None)
            number = mended = 0
            while True:
                lines.begin()
                wrong = ""
                try:
                    cells = next(reader)
                except StopIteration:
                    return
                except csv.Error as exc:
                    wrong, cells = str(exc), []
                if not wrong and not any(cells):
                    continue
                number += 1
                if number > MOST_ROWS:
                    raise HostileFile(f"more than {MOST_ROWS:,} rows", hint="bring it in parts")
                surplus = len(cells) > len(self.headers) and any(cells[len(self.headers) :])
                if lines.taken > 1 and (wrong or len(cells) != len(self.headers)):
                    # A quotation mark was left open and swallowed what follows: give the other lines back.
                    mended += 1
                    if mended > _MENDED_AT_MOST:
                        raise BadFile(
                            "too many quotation marks are left open",
                            hint='write a quotation mark inside a field as two: ""',
                            row=number,
                        )
                    lines.give_back()
                    yield number, Trouble(number, "", lines.first[:200], "open_quote", "a quotation mark is left open",
                                          'write a quotation mark inside a field as two: ""')  # fmt: skip
                elif wrong:
                    yield (
                        number,
                        Trouble(number, "", "", "not_a_row", f"this is no row of a table: {wrong}", "look at it"),
                    )
                elif surplus:
                    yield number, Trouble(
                        number, "", self.delimiter.join(cells)[:200], "too_many_cells",
                        f"{len(cells)} cells under {len(self.headers)} columns",
                        f"put a cell that contains {self.delimiter!r} into quotation marks",
                    )  # fmt: skip
                elif any("\ufffd" in cell for cell in cells):
                    yield number, Trouble(number, "", self.delimiter.join(cells)[:200], "bad_bytes",
                                          f"bytes that are no {self.encoding}", "save the file in UTF-8")  # fmt: skip
                else:
                    yield number, cells

    def _parquet(self) -> Iterator[Row]:
        connection = _duck()
        try:
            columns = ", ".join(f"CAST({_quoted(name)} AS VARCHAR)" for name in _parquet_names(connection, self.path))
            found = connection.execute(f"SELECT {columns} FROM read_parquet(?)", [str(self.path)])
            number = 0
            while batch := found.fetchmany(_BATCH):
                for row in batch:
                    number += 1
                    yield number, ["" if cell is None else cell for cell in row]
        except _duck_errors() as exc:
            raise TruncatedFile(f"the file breaks off or is damaged: {_short(exc)}", hint="export it again") from exc
        finally:
            connection.close()


def open_sheet(path: Path, *, encoding: str = "") -> Sheet:
    """Look at a file: what kind of table it is, which columns it has.

    Args:
        encoding: of a CSV file; empty: found out.

    Raises:
        BadFile: it holds no table; or one of its kinds, which say what to do.
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            magic = file.read(8)
    except OSError as exc:
        raise BadFile(f"{path.name} cannot be read: {exc.strerror}", hint="name a file") from exc
    if not size:
        raise BadFile("the file is empty", hint="export it again")
    if magic.startswith(b"PAR1"):
        return _open_parquet(path, size)
    for begin, what in _MAGICS.items():
        if magic.lstrip().startswith(begin) and not encoding:
            raise UnsupportedFormat(f"this is {what}", hint="save it as CSV (UTF-8) or Parquet")
    found = encoding_of(path, encoding)
    with _opened(path, found) as file:
        sample = [line for _, line in zip(range(200), _Lines(file), strict=False)]
    if not sample:
        raise BadFile("the file is empty", hint="export it again")
    delimiter = _delimiter(sample)
    headers = _headers(next((row for row in _parsed(sample, delimiter) if any(row)), []))
    per_row = max(1.0, sum(len(line.encode(found, "replace")) for line in sample) / len(sample))
    return Sheet(path, headers, found, delimiter, max(0, round(size / per_row) - 1))


# ---- private ---------------------------------------------------------------------------------------------------------


class _Lines:
    """Lines of a file, of bounded length, the latest record's of which can be given back."""

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._back: list[str] = []
        self._record: list[str] = []

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self._back.pop() if self._back else self._file.readline(_LINE)
        if not line:
            raise StopIteration
        if len(line) >= _LINE:
            raise HostileFile(f"a line of more than {_LINE:,} signs", hint="this is no table with line ends")
        self._record.append(line)
        return line

    def begin(self) -> None:
        """A record begins."""
        self._record = []

    @property
    def taken(self) -> int:
        """Lines of the record so far."""
        return len(self._record)

    @property
    def first(self) -> str:
        """The record's first line."""
        return self._record[0].rstrip("\r\n")

    def give_back(self) -> None:
        """All lines of the record but the first come again."""
        self._back.extend(reversed(self._record[1:]))


def _opened(path: Path, encoding: str) -> TextIO:
    return path.open(encoding=encoding, errors="replace", newline="")


def _parsed(sample: Sequence[str], delimiter: str) -> Iterator[list[str]]:
    try:
        yield from csv.reader(sample, delimiter=delimiter)
    except csv.Error:
        return  # the rows before it are all a look needs


def _delimiter(sample: Sequence[str]) -> str:
    def evenness(mark: str) -> tuple[float, int]:
        widths = [len(row) for row in _parsed(sample[:50], mark) if any(row)]
        if not widths or widths[0] < 2:
            return 0.0, 0
        return sum(width == widths[0] for width in widths) / len(widths), widths[0]

    best = max(",\t;|", key=evenness)
    return best if evenness(best)[0] > 0 else ","


def _headers(row: Sequence[str]) -> tuple[str, ...]:
    if len(row) > MOST_COLUMNS:
        raise HostileFile(f"{len(row):,} columns", hint=f"at most {MOST_COLUMNS:,}")
    if not any(cell.strip() for cell in row):
        raise BadFile("the file has no header", hint="the first row names the columns")
    seen: dict[str, int] = {}
    named: list[str] = []
    for at, cell in enumerate(row, 1):
        name = cell.strip().lstrip("\ufeff")[:200] or f"column {at}"
        seen[name] = seen.get(name, 0) + 1
        named.append(name if seen[name] == 1 else f"{name} ({seen[name]})")
    return tuple(named)


def _open_parquet(path: Path, size: int) -> Sheet:
    with path.open("rb") as file:
        file.seek(max(0, size - 4))
        if size < 12 or file.read(4) != b"PAR1":
            raise TruncatedFile("the Parquet file breaks off", hint="copy or export it again")
    connection = _duck()
    try:
        names = _parquet_names(connection, path)
        rows, total, largest = connection.execute(
            "SELECT max(num_rows), sum(bytes), max(bytes) FROM (SELECT any_value(f.num_rows) AS num_rows, "
            "sum(m.total_uncompressed_size) AS bytes FROM parquet_metadata(?) m, parquet_file_metadata(?) f "
            "GROUP BY m.row_group_id)",
            [str(path), str(path)],
        ).fetchall()[0]
    except _duck_errors() as exc:
        raise TruncatedFile(f"the Parquet file is damaged: {_short(exc)}", hint="export it again") from exc
    finally:
        connection.close()
    rows, total, largest = int(rows or 0), int(total or 0), int(largest or 0)
    if rows > MOST_ROWS or total > _BYTES_AT_MOST or largest > _GROUP_AT_MOST:
        raise HostileFile(
            f"the Parquet file unpacks to {rows:,} rows and {total:,} bytes",
            hint=f"at most {MOST_ROWS:,} rows, {_GROUP_AT_MOST:,} bytes in a row group",
        )
    if rows < 0 or total < 0:
        raise HostileFile("the Parquet file contradicts itself", hint="export it again")
    return Sheet(path, _headers(names), "", "", rows)


def _parquet_names(connection: Any, path: Path) -> list[str]:
    found = connection.execute("DESCRIBE SELECT * FROM read_parquet(?)", [str(path)]).fetchall()
    return [row[0] for row in found]


def _duck() -> Any:
    import duckdb

    return duckdb.connect(
        config={
            "threads": "1",
            "memory_limit": "384MB",
            "autoinstall_known_extensions": "false",
            "autoload_known_extensions": "false",
        }
    )


def _duck_errors() -> type[Exception]:
    import duckdb

    return duckdb.Error


def _short(exc: Exception) -> str:
    return str(exc).splitlines()[0][:200]


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
