"""How the command line speaks: one JSON object for programs, a plain table for people."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from ikkan.ground.errors import IkkanError

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON value instead of text.")]


def plain(value: Any) -> Any:
    """Turn our values into what JSON can hold."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item) for item in value]
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Path):
        return str(value)
    return value


def show(value: Any, *, as_json: bool, text: Callable[[], str] | None = None) -> None:
    """Print a report: JSON when asked, else what `text` says."""
    if as_json or text is None:
        typer.echo(json.dumps(plain(value), ensure_ascii=False))
    else:
        typer.echo(text())


def table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A plain aligned table.

    >>> print(table(["name", "bytes"], [["smollm2", 96]]))
    name     bytes
    smollm2  96
    """
    grid = Table(*columns, box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="", show_edge=False)
    for row in rows:
        grid.add_row(*(str(cell) for cell in row))
    console = Console(width=200, no_color=True, highlight=False, markup=False)
    with console.capture() as captured:
        console.print(grid)
    return "\n".join(line.rstrip() for line in captured.get().splitlines())


def complain(error: IkkanError, *, as_json: bool) -> None:
    """Say what went wrong and what to do now, on stderr."""
    if as_json:
        body = {
            "error": {"code": error.code, "message": error.message, "hint": error.hint, "facts": plain(error.facts)}
        }
        print(json.dumps(body, ensure_ascii=False), file=sys.stderr)
        return
    print(f"ikkan: {error.message}", file=sys.stderr)
    if error.hint:
        print(f"  what now: {error.hint}", file=sys.stderr)


def stderr_console() -> Console:
    """Where progress is drawn, so that stdout stays clean."""
    return Console(stderr=True)


def download_bar() -> Progress:
    """A progress bar for bytes, on stderr so that stdout stays clean; silent where that is no terminal."""
    console = stderr_console()
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
