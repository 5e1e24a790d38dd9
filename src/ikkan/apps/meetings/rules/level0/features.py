"""Units as rows of numbers: what was said, what was said around it, where in the meeting, and by whom."""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from ikkan.apps.meetings.rules.level0.units import Unit, contents, size

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]
BITS = 18
COLUMNS = 1 << BITS
AROUND = 5
"""How many units before and after are looked at: the words of an assignment spread over several."""
AROUND_VALUE = np.float32(0.5)
SHAPE_COLUMNS = 12


@dataclass(frozen=True, slots=True)
class Rows:
    """A sparse table: row `i` has `values[starts[i]:starts[i + 1]]` in `columns[…]`. No row is empty."""

    starts: NDArray[np.int64]
    columns: NDArray[np.int32]
    values: Float32

    def __len__(self) -> int:
        return len(self.starts) - 1

    def times(self, weights: Float32) -> Float32:
        """Each row times `weights`, shape `(COLUMNS,)` → `(rows,)`."""
        if not len(self):
            return np.zeros(0, dtype=np.float32)
        return np.add.reduceat(weights[self.columns] * self.values, self.starts[:-1])

    def turned(self, slopes: Float32, width: int = COLUMNS) -> Float32:
        """The table turned, times `slopes` `(rows,)` → `(width,)`."""
        spread = np.repeat(slopes, np.diff(self.starts)) * self.values
        return np.bincount(self.columns, weights=spread, minlength=width).astype(np.float32)

    def narrow(self) -> tuple[NDArray[np.int64], Rows]:
        """The columns that are used, and the same table with only those, renumbered; all, where most are used."""
        used = np.flatnonzero(np.bincount(self.columns, minlength=COLUMNS))
        if len(used) > COLUMNS // 2:
            return np.arange(COLUMNS), self
        place = np.zeros(COLUMNS, dtype=np.int32)
        place[used] = np.arange(len(used))
        return used, Rows(self.starts, place[self.columns], self.values)

    def take(self, rows: NDArray[np.bool_]) -> Rows:
        """Only these rows."""
        lengths = np.diff(self.starts)
        kept = np.repeat(rows, lengths)
        starts = np.concatenate([[0], np.cumsum(lengths[rows])])
        return Rows(starts, self.columns[kept], self.values[kept])


def stacked(tables: Sequence[Rows]) -> Rows:
    """Tables under each other."""
    offsets = np.cumsum([0, *(len(table.columns) for table in tables)])
    starts = [table.starts[:-1] + offset for table, offset in zip(tables, offsets, strict=False)]
    return Rows(
        np.concatenate([*starts, offsets[-1:]]).astype(np.int64),
        np.concatenate([table.columns for table in tables]),
        np.concatenate([table.values for table in tables]),
    )


def rows(meeting: Sequence[Unit]) -> Rows:
    """One row a unit: its words, pairs, triples, the words of `AROUND` units on each side, place, length, speaker."""
    return rows_at(meeting, range(len(meeting)), marks(meeting))


def rows_at(meeting: Sequence[Unit], at: Sequence[int], of_each: Sequence[Sequence[str]]) -> Rows:
    """The rows of some units, whose `marks` are given: a few units around them are enough of the meeting."""
    known: dict[str, int] = {}

    def column(name: str) -> int:
        if name not in known:
            known[name] = zlib.crc32(name.encode()) & (COLUMNS - 1)
        return known[name]

    before = [[column(f"c-{word}") for word in unit.words] for unit in meeting]
    after = [[column(f"c+{word}") for word in unit.words] for unit in meeting]
    starts, columns, values = [0], list[int](), list[np.float32]()
    for number, told in zip(at, of_each, strict=True):
        found = dict.fromkeys(
            (each for near in before[max(0, number - AROUND) : number] for each in near), AROUND_VALUE
        )
        for near in after[number + 1 : number + 1 + AROUND]:
            found.update(dict.fromkeys(near, AROUND_VALUE))
        said = ("<", *meeting[number].words, ">")
        own = [f"1{a}" for a in said]
        own += [f"2{a} {b}" for a, b in pairwise(said)]
        own += [f"3{a} {b} {c}" for a, b, c in zip(said, said[1:], said[2:], strict=False)]
        found.update(dict.fromkeys(map(column, [*own, *told]), np.float32(1)))
        columns.extend(found)
        values.extend(found.values())
        starts.append(len(columns))
    return Rows(np.array(starts, np.int64), np.array(columns, np.int32), np.array(values, np.float32))


def marks(meeting: Sequence[Unit]) -> list[list[str]]:
    """What can be said of each unit beside its words: place in the meeting, length, and who speaks."""
    n = len(meeting)
    if not n:
        return []
    talked = Counter[str]()
    for unit in meeting:
        talked[unit.speaker] += len(unit.words)
    edge = max(1, n // 20)
    leads = {
        "chair_top": talked.most_common(1)[0][0],
        "chair_open": Counter(unit.speaker for unit in meeting[:edge]).most_common(1)[0][0],
        "chair_last": Counter(unit.speaker for unit in meeting[-edge:]).most_common(1)[0][0],
    }
    found = []
    for number, unit in enumerate(meeting):
        told = [f"p{tenth}" for tenth in range(10) if number >= tenth * n / 10]
        told += [f"e{left}" for left in (5, 10, 20, 40, 80, 160) if n - number <= left]
        told += [f"b{gone}" for gone in (5, 10, 20, 40) if number <= gone]
        told += [f"L{least}" for least in (2, 4, 7, 11, 16, 25) if len(unit.words) >= least]
        told += [name for name, who in leads.items() if unit.speaker == who]
        told += ["sp-"] * (number > 0 and meeting[number - 1].speaker == unit.speaker)
        told += ["sp+"] * (number + 1 < n and meeting[number + 1].speaker == unit.speaker)
        found.append(told)
    return found


def shapes(meeting: Sequence[Unit]) -> Float64:
    """What can be said of a unit in any language, shape `(units, SHAPE_COLUMNS)`; the last column is one.

    Length beside the meeting's own, place, how much of the meeting its speaker talks, how rare its words are
    and how often they come back.
    """
    n = len(meeting)
    table = np.ones((n, SHAPE_COLUMNS))
    if not n:
        return table
    said = [contents(unit.words) for unit in meeting]
    sizes = np.array([size(unit.words) for unit in meeting])
    usual = max(1.0, float(np.mean(sizes)))
    heard = Counter(word for words in said for word in set(words))
    talked = Counter[str]()
    for unit, words in zip(meeting, sizes, strict=True):
        talked[unit.speaker] += words
    place = np.arange(n) / n
    table[:, 0] = np.log((sizes + 1) / usual)
    table[:, 1] = np.minimum(sizes / usual, 4)
    table[:, 2], table[:, 3], table[:, 4] = place, place < 0.1, place > 0.9
    table[:, 5] = [talked[unit.speaker] / sum(talked.values()) for unit in meeting]
    for number, words in enumerate(said):
        rare = [np.log(n / heard[word]) for word in set(words)]
        back = [np.log(n / heard[word]) for word in set(words) if heard[word] > 1]
        table[number, 6] = np.log1p(sum(rare))
        table[number, 7] = np.log1p(sum(back))
        table[number, 8] = np.mean(rare) if rare else 0.0
        table[number, 9] = np.log1p(sum(np.log(heard[word]) for word in set(words)))
    near = np.convolve(table[:, 0], np.ones(5) / 5, "full")[2 : n + 2]
    table[:, 10] = near
    return table
