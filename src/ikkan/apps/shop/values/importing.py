"""Files that are brought in: what may be in them, how their columns were read, and what became of each row."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, TypeAlias

from ikkan.apps.shop.values.behaviour import Deed

SheetKind: TypeAlias = Literal["catalogue", "orders", "events", "carrier", "customers"]
SHEET_KINDS: tuple[SheetKind, ...] = ("catalogue", "orders", "events", "carrier", "customers")

CellKind: TypeAlias = Literal[
    "id", "text", "money", "currency", "when", "day", "whole", "share", "number", "flag", "list", "deed", "news",
    "status", "url", "email",
]  # fmt: skip
"""What a cell is read as."""

ImportState: TypeAlias = Literal["running", "done", "failed", "undone"]


@dataclass(frozen=True, slots=True)
class Field:
    """One thing a row may say."""

    name: str
    reads: CellKind
    is_required: bool = False
    about: Mapping[str, str] = field(default_factory=dict)
    """What it is, by language."""


@dataclass(frozen=True, slots=True)
class Guess:
    """Which column a field seems to be, and why."""

    field: str
    column: str
    confidence: float
    """0 to 1: the name alone gives at most 0.95, what the values look like at most 0.6."""
    why: Literal["said", "saved", "name", "similar name", "meaning", "values"]
    samples: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Reading:
    """How a file is read."""

    currency: str = "JPY"
    """Where an amount does not say."""
    utc_offset: str = "+09:00"
    """Of times that do not say theirs."""
    encoding: str = ""
    """Empty: found out."""
    deed: Deed = "bought"
    """What people did, in a file of events that has no column for it."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """What is wrong with one row."""

    row: int
    """From 1, the header not counted."""
    field: str
    value: str
    code: str
    wrong: str
    hint: str


@dataclass(frozen=True, slots=True)
class Counts:
    """What became of the rows so far, or would."""

    rows: int = 0
    added: int = 0
    changed: int = 0
    same: int = 0
    """Already there just like that."""
    repeated: int = 0
    """The same thing again within the file, or known by its id."""
    refused: int = 0

    def plus(self, other: Counts) -> Counts:
        """Both together."""
        return Counts(*(getattr(self, name) + getattr(other, name) for name in Counts.__slots__))


@dataclass(frozen=True, slots=True)
class Import:
    """A file that was brought in, or is being."""

    import_id: str
    kind: SheetKind
    filename: str
    sha256: str
    mapping: Mapping[str, str]
    """Field → column."""
    reading: Reading
    state: ImportState
    counts: Counts
    position: int
    """Rows that were dealt with; what a restarted job goes on from."""
    total: int
    """Rows in the file, as far as known."""
    started_at: datetime
    ended_at: datetime | None = None
    error: str = ""
    is_repeat: bool = False
    """The same file had been brought in just so: nothing was done again."""


@dataclass(frozen=True, slots=True)
class Preview:
    """What an import would do, with nothing done."""

    kind: SheetKind
    guesses: tuple[Guess, ...]
    unused: tuple[str, ...]
    """Columns that no field was found for."""
    missing: tuple[str, ...]
    """Fields that are needed and have no column."""
    counts: Counts | None = None
    """None where a needed field is missing: nothing can be said of the rows."""
    troubles: tuple[Trouble, ...] = ()
    """The first of them."""
    encoding: str = ""


@dataclass(frozen=True, slots=True)
class Undone:
    """What became of taking an import back."""

    removed: int
    restored: int
    kept: int
    """Changed since by somebody else, so left as it is."""
