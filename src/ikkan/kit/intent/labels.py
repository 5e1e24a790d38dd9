"""Labelled texts: what somebody said a text wants, as examples. Files are read here; apps read their own events."""

from __future__ import annotations

import csv
import hashlib
import io
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

from ikkan.flywheel.contract import Examples
from ikkan.ground.errors import BadFile, NotFound
from ikkan.kit.letters import language_of, same_text

MOST_LETTERS = 2_000
"""Longer texts are cut: past this they are documents, not wishes."""
COLUMNS = ("text", "category")
"""What a labelled file has at least."""
MOST_BYTES = 256 * 2**20
LONGEST_INTENT = 200
"""Letters of an intent's name."""
LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)
"""When the rows of a file are taken to have happened: a minute apart, from then on."""


@dataclass(frozen=True, slots=True)
class Meant:
    """What a text turned out to want."""

    intent: str
    silent: bool = False
    """Nobody said it: they let the intent pass that was read from the text."""


@dataclass(frozen=True, slots=True)
class Labelled:
    """One row of a labelled file."""

    text: str
    intent: str


def read_labelled(path: Path) -> tuple[Labelled, ...]:
    """The rows of a CSV file with the columns `text` and `category`; others are left alone.

    Raises:
        NotFound: there is no such file.
        BadFile: it is not such a file; the message says which row, and why.
    """
    if not path.is_file():
        raise NotFound(f"there is no file {path}", hint="a CSV file with the columns text,category", path=str(path))
    if path.stat().st_size > MOST_BYTES:
        raise _bad(path, f"is larger than {MOST_BYTES:,} bytes", "take the latest part of it")
    try:
        content = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise _bad(path, f"is not UTF-8: line {line:,}, byte {error.start:,}", "save it as UTF-8") from error
    reader = csv.DictReader(io.StringIO(content, newline=""), strict=True)
    rows = []
    try:
        if not set(COLUMNS) <= set(reader.fieldnames or ()):
            found = ", ".join(reader.fieldnames or ()) or "nothing"
            raise _bad(path, f"has no columns text and category, but {found[:200]}", "name them in the first line")
        for number, row in enumerate(reader, start=1):
            text, intent = (row["text"] or "").strip(), named(row["category"])
            if why := _wrong(row, text, intent):
                raise _bad(path, f"row {number:,} {why}", "quote texts that hold commas, quotes or line breaks")
            rows.append(Labelled(text[:MOST_LETTERS], intent))
    except csv.Error as error:
        raise _bad(path, f"row {len(rows) + 1:,} cannot be read: {error}", "quote texts with line breaks") from error
    if len({row.intent for row in rows}) < 2:
        raise _bad(path, f"names fewer than two categories in {len(rows):,} rows", "there is nothing to tell apart")
    return tuple(rows)


def as_examples(rows: Sequence[Labelled], seed: int = 0) -> Examples:
    """Labelled rows as examples. A file has no times and no people: rows come in an order drawn from the seed, a minute
    apart, each from a person of its own."""
    order = np.random.default_rng([seed, 0xF11E]).permutation(len(rows)).tolist()
    drawn = [rows[at] for at in order]
    ids, seen = [], Counter[str]()
    for row in drawn:
        id = hashlib.sha256(f"{row.text}\0{row.intent}".encode()).hexdigest()[:24]
        ids.append(f"row-{id}-{seen[id]}")
        seen[id] += 1
    moments = tuple(LONG_AGO + timedelta(minutes=at) for at in range(len(drawn)))
    return Examples(
        ids=tuple(ids),
        unit_ids=tuple(ids),
        occurred_at=moments,
        known_at=moments,
        slices=tuple(language_of(row.text) for row in drawn),
        keys=tuple(row.text for row in drawn),
        inputs=tuple(row.text for row in drawn),
        truths=tuple(Meant(row.intent) for row in drawn),
        teaches=np.ones(len(drawn), dtype=np.bool_),
        own=np.zeros(len(drawn), dtype=np.bool_),
        evidence=tuple((id,) for id in ids),
    )


def agreed(examples: Examples) -> Examples:
    """What teaches, once people who contradict each other about the very same text have been counted.

    The intent named by most distinct people stands; at a tie, the latest word.
    """
    taught = examples.take(examples.teaches)
    texts = [same_text(text) or text for text in taught.inputs]
    votes: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    latest: dict[tuple[str, str], int] = {}
    for at, (text, meant) in enumerate(zip(texts, taught.truths, strict=True)):
        votes[text][meant.intent].add(taught.unit_ids[at])
        latest[text, meant.intent] = at
    stands = {text: max(named, key=lambda i: (len(named[i]), latest[text, i])) for text, named in votes.items()}
    return taught.take([at for at, text in enumerate(texts) if taught.truths[at].intent == stands[text]])


def _wrong(row: Mapping[str | None, object], text: str, intent: str) -> str:
    """What makes a row useless; empty where nothing does."""
    if None in row:
        return "has too many columns"
    if not text:
        return "has no text"
    if not intent:
        return "has no category"
    return f"has a category longer than {LONGEST_INTENT} letters" if len(intent) > LONGEST_INTENT else ""


def named(value: object) -> str:
    """An intent's name as it was meant; empty where there is none."""
    return " ".join(value.split()) if isinstance(value, str) else ""


def _bad(path: Path, why: str, hint: str) -> BadFile:
    return BadFile(f"{path.name} {why}", hint=hint, path=str(path))
