"""How well the rules read labelled sentences: kinds, owners and due days in Japanese, Chinese and English.

    .venv/bin/python benchmarks/meetings_language.py

Prints one JSON line per figure, for all sentences and for those of even and of odd number. `--wrong` also prints what
was read wrongly on sentences of even number. Those of odd number are only counted: nobody mends a rule by them.
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from ikkan.apps.meetings.rules.language import Understood, understand

LANGUAGES = ("ja", "zh", "en")
SENTENCES = Path(__file__).parent.parent / "tests/apps/meetings/language"
DEEDS = {"action", "proposal"}


@dataclass(frozen=True, slots=True)
class Read:
    """A labelled sentence and what was understood of it."""

    row: dict[str, Any]
    said: Understood

    @property
    def is_even(self) -> bool:
        """Whether people may look at it."""
        return int("".join(sign for sign in self.row["id"] if sign.isdigit())) % 2 == 0

    @property
    def is_deed(self) -> bool:
        """Whether the label, or what was understood, is a deed that may have an owner and a due day."""
        return bool(DEEDS & (set(self.row["kinds"]) | {kind.value for kind in self.said.kinds}))

    def pairs(self, field: str) -> tuple[set[str], set[str]]:
        """Label and answer of a field, as sets."""
        if field == "kinds":
            return set(self.row["kinds"]), {kind.value for kind in self.said.kinds}
        answer = getattr(self.said, field)
        label = self.row[field]
        answer = answer.isoformat() if isinstance(answer, date) else answer
        return ({label} if label else set()), ({answer} if answer else set())

    @property
    def is_exact(self) -> bool:
        """Whether every field is right."""
        return all(label == answer for label, answer in map(self.pairs, ("kinds", "owner", "due", "due_words")))


def f1(reads: Iterable[Read], field: str) -> float:
    """Micro F1 of a field."""
    right = given = due = 0
    for read in reads:
        label, answer = read.pairs(field)
        right, given, due = right + len(label & answer), given + len(answer), due + len(label)
    return 2 * right / (given + due) if given + due else 1.0


def exact(reads: Iterable[Read]) -> float:
    """Share of sentences with nothing wrong."""
    marks = [read.is_exact for read in reads]
    return sum(marks) / len(marks)


def read_all(language: str) -> list[Read]:
    """Every labelled sentence of a language, read by the rules."""
    rows = [json.loads(line) for line in (SENTENCES / f"{language}.jsonl").read_text("utf-8").splitlines()]
    return [
        Read(
            row,
            understand(
                row["text"],
                language=language,
                speaker=row["speaker"],
                speakers=tuple(row["speakers"]),
                held_on=date.fromisoformat(row["held_on"]),
            ),
        )
        for row in rows
    ]


PORTIONS: dict[str, Callable[[Read], bool]] = {
    "all": lambda read: True,
    "even": lambda read: read.is_even,
    "odd": lambda read: not read.is_even,
}


def figures(language: str) -> Iterator[dict[str, Any]]:
    """The figures of a language."""
    reads = read_all(language)
    for portion, belongs in PORTIONS.items():
        some = [read for read in reads if belongs(read)]
        for field in ("kinds", "owner", "due", "due_words"):
            yield {"metric": f"{field}_f1", "value": round(f1(some, field), 4), "unit": "f1", "language": language,
                   "portion": portion, "sentences": len(some)}  # fmt: skip
        yield {"metric": "exact", "value": round(exact(some), 4), "unit": "share", "language": language,
               "portion": portion, "sentences": len(some)}  # fmt: skip


def main() -> None:
    options = argparse.ArgumentParser(description="How well the rules read labelled sentences.")
    options.add_argument("--language", choices=LANGUAGES, action="append")
    options.add_argument("--wrong", action="store_true", help="also print wrong readings of even-numbered sentences")
    given = options.parse_args()
    done = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    facts = {"commit": done.stdout.strip(), "machine": platform.machine(), "python": platform.python_version()}
    for language in given.language or LANGUAGES:
        for figure in figures(language):
            print(json.dumps({**figure, **facts}))
        for read in read_all(language) if given.wrong else ():
            if read.is_even and not read.is_exact:
                print(read.row["id"], read.row["text"], f"[{read.row['speaker']} / {', '.join(read.row['speakers'])}]")
                for field in ("kinds", "owner", "due", "due_words"):
                    label, answer = read.pairs(field)
                    if label != answer:
                        print(f"    {field}: {sorted(answer)} is labelled {sorted(label)}  ({read.row['held_on']})")


if __name__ == "__main__":
    main()
