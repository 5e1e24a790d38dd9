"""Datasets: which events taught, which judged, and when - kept for good, without anyone's words.

A dataset is an artifact: `rows-0000.parquet` and so on, and `dataset.json`, which says what was asked of the event log,
as of when, under which terms and by which version of the code. The same rows give the same bytes (one thread, one
writer, no clock), and `rows_sha256` is a hash over the rows themselves, for whoever reads them with another tool.
Words stay in the event log, under the key of whoever wrote them: a replay reads them again, as far as it still may.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal, TypeAlias

import msgspec
import numpy as np
from numpy.typing import NDArray

from ikkan.flywheel.contract import Budget, Examples, Mask
from ikkan.flywheel.split import Split
from ikkan.ground.artifacts import Artifact, ArtifactStore
from ikkan.ground.errors import LeakFound
from ikkan.ground.ids import ArtifactId

KIND = "flywheel-dataset"
FORMAT = 2
"""Of `dataset.json`: 2 has its rows in Parquet; in 1 they stood in the JSON."""
MANIFEST = "dataset.json"
ROWS_IN_A_FILE = 50_000
SIDES = ("aside", "teach", "judge")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Int64: TypeAlias = NDArray[np.int64]
Side: TypeAlias = Literal["aside", "teach", "judge"]


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows as columns: some 150 bytes a row, so that a million of them fit beside a training."""

    ids: NDArray[Any]
    """Text, or ASCII in bytes of one length where there are many."""
    units: tuple[str, ...]
    """Everybody, each once."""
    unit_of: NDArray[np.int32]
    """Each row's place in `units`."""
    occurred_us: Int64
    """Microseconds since 1970."""
    known_us: Int64
    slices: tuple[str, ...]
    slice_of: NDArray[np.int32]
    groups: Int64
    """Near-duplicates share a number; -1 where nobody asked."""
    teaches: Mask
    own: Mask
    weights: NDArray[np.float64]
    values: NDArray[np.float64]
    """What came of it, where that is a number; else NaN."""
    events: NDArray[Any]
    """The events all rows were read from, one row's after the other's."""
    events_from: Int64
    """Where each row's events begin in `events`; one longer than the rows."""

    def __len__(self) -> int:
        return len(self.ids)

    @classmethod
    def of(cls, examples: Examples, groups: Int64 | None = None) -> Rows:
        """Examples as rows: everything but the words."""
        units, slices = tuple(dict.fromkeys(examples.unit_ids)), tuple(dict.fromkeys(examples.slices))
        n = len(examples)
        return cls(
            ids=np.array(examples.ids, dtype=object),
            units=units,
            unit_of=_places(units, examples.unit_ids),
            occurred_us=np.array([microseconds(at) for at in examples.occurred_at], dtype=np.int64),
            known_us=np.array([microseconds(at) for at in examples.known_at], dtype=np.int64),
            slices=slices,
            slice_of=_places(slices, examples.slices),
            groups=np.full(n, -1, dtype=np.int64) if groups is None else groups,
            teaches=examples.teaches,
            own=examples.own,
            weights=np.ones(n),
            values=np.full(n, np.nan),
            events=np.array([id for evidence in examples.evidence for id in evidence], dtype=object),
            events_from=np.cumsum([0, *map(len, examples.evidence)], dtype=np.int64),
        )


@dataclass(frozen=True, slots=True)
class Dataset:
    """A dataset, read back: whose rows these are, and where each comes from."""

    id: ArtifactId
    facts: Mapping[str, Any]
    """What `dataset.json` says."""
    ids: tuple[str, ...]
    unit_of: tuple[str, ...]
    """Each row's unit: a pseudonymous person, or a day."""
    events_of: tuple[tuple[str, ...], ...]
    """The events each row was read from."""
    sides: tuple[str, ...]
    """Each row's side: `teach`, `judge`, or `aside` for neither."""
    background: Mapping[str, bytes] = field(default_factory=dict)

    @property
    def teach(self) -> list[str]:
        """The ids of the rows that taught."""
        return [id for id, side in zip(self.ids, self.sides, strict=True) if side == "teach"]

    @property
    def judge(self) -> list[str]:
        """The ids of the rows that judged."""
        return [id for id, side in zip(self.ids, self.sides, strict=True) if side == "judge"]

    @property
    def unit_ids(self) -> frozenset[str]:
        """Everybody who has a part in it."""
        return frozenset(self.unit_of)

    @property
    def event_ids(self) -> frozenset[str]:
        """Every event it was read from."""
        return frozenset(id for events in self.events_of for id in events)


def sides(parted: Split) -> NDArray[np.int8]:
    """Each example's place in `SIDES`."""
    return np.where(parted.teach, 1, np.where(parted.judge, 2, 0)).astype(np.int8)


def part(rows: Rows, cutoff: datetime) -> NDArray[np.int8]:
    """Part rows at `cutoff`, as `split.split` parts examples: each one's place in `SIDES`.

    Raises:
        LeakFound: a cluster of near-duplicates would stand on both sides.
    """
    assert not len(rows) or int(rows.groups.min()) >= 0, "look for near-duplicates first"
    at_us = microseconds(cutoff)
    teach = (rows.known_us <= at_us) & rows.teaches
    later = rows.occurred_us > at_us
    similar = np.isin(rows.groups, np.unique(rows.groups[teach]))
    parted = np.where(teach, 1, np.where(later & ~similar, 2, 0)).astype(np.int8)
    refuse_leaks(rows, parted)
    return parted


def refuse_leaks(rows: Rows, parted: NDArray[np.int8]) -> None:
    """Look again whether anything stands on both sides.

    Raises:
        LeakFound: a cluster of near-duplicates does.
    """
    both = np.intersect1d(rows.groups[parted == 1], rows.groups[parted == 2])
    both = both[both >= 0]
    if len(both):
        raise LeakFound(
            f"{len(both)} groups of look-alikes stand on both sides", hint="nothing was written; report this"
        )


def write(
    artifacts: ArtifactStore,
    rows: Rows,
    parted: NDArray[np.int8],
    facts: Mapping[str, Any],
    *,
    background: Mapping[str, bytes] | None = None,
    source: str = "flywheel",
) -> Artifact:
    """Keep rows as a dataset. The same rows and facts give the same artifact.

    Args:
        parted: each row's place in `SIDES`.
        facts: what `dataset.json` says besides: what was asked of the log, as of when, terms, salt, code version.
        background: company data the rows refer to.

    Raises:
        LeakFound: a cluster of near-duplicates stands on both sides.
    """
    refuse_leaks(rows, parted)
    counts = {side: int((parted == place).sum()) for place, side in enumerate(SIDES)}
    with tempfile.TemporaryDirectory(prefix="ikkan-dataset-") as folder:
        hashed = hashlib.sha256()
        files: dict[str, bytes | Path] = {f"background/{n}": content for n, content in (background or {}).items()}
        with _Duck() as duck:
            for number, start in enumerate(range(0, max(1, len(rows)), ROWS_IN_A_FILE)):
                name = f"rows-{number:04}.parquet"
                chunk = _chunk(rows, parted, start, min(len(rows), start + ROWS_IN_A_FILE))
                for columns in zip(*(column.tolist() for column in chunk.values()), strict=True):
                    hashed.update(_encode(columns))
                files[name] = duck.write(chunk, Path(folder, name))
        told = {
            **facts,
            "format": FORMAT,
            "rows": len(rows),
            "rows_sha256": hashed.hexdigest(),
            "counts": counts,
            "files": [name for name in files if name.endswith(".parquet")],
        }
        files[MANIFEST] = json.dumps(told, sort_keys=True, indent=1).encode()
        summary = {"examples": len(rows), "teaching": counts["teach"], "judging": counts["judge"]}
        return artifacts.put(files, kind=KIND, source=source, facts=summary)


def budget(facts: Mapping[str, Any], otherwise: Budget) -> Budget:
    """What training on a dataset was allowed; one of an earlier release does not say."""
    return Budget(**facts["budget"]) if "budget" in facts else otherwise


def facts(artifacts: ArtifactStore, dataset: ArtifactId) -> dict[str, Any]:
    """What `dataset.json` says.

    Raises:
        UnknownArtifact: there is no such dataset; it may have been destroyed with a person's erasure.
    """
    with artifacts.open(dataset, MANIFEST) as file:
        told: dict[str, Any] = json.load(file)
    return told


def read(artifacts: ArtifactStore, dataset: ArtifactId) -> Dataset:
    """A dataset with its rows.

    Raises:
        UnknownArtifact: there is no such dataset; it may have been destroyed with a person's erasure.
    """
    told = facts(artifacts, dataset)
    kept, company = artifacts.get(dataset), background(artifacts, dataset)
    if told.get("format", 1) == 1:
        side = {**dict.fromkeys(told["judging"], "judge"), **dict.fromkeys(told["teaching"], "teach")}
        ids = tuple(told["events"])
        events = tuple(tuple(told["events"][id]) for id in ids)
        return Dataset(dataset, told, ids, (), events, tuple(side.get(id, "aside") for id in ids), company)
    with _Duck() as duck:
        found = list(duck.read([Path(kept.path, name) for name in told["files"]]))
    ids, units, events, parted = zip(*found, strict=True) if found else ((), (), (), ())
    return Dataset(dataset, told, ids, units, tuple(map(tuple, events)), parted, company)


def background(artifacts: ArtifactStore, dataset: ArtifactId) -> dict[str, bytes]:
    """Company data the rows refer to, as it was.

    Raises:
        UnknownArtifact: there is no such dataset.
    """
    kept = artifacts.get(dataset)
    names = [name for name in kept.manifest.files if name.startswith("background/")]
    return {name.removeprefix("background/"): Path(kept.path, name).read_bytes() for name in names}


def microseconds(moment: datetime) -> int:
    """Since 1970, exactly.

    >>> microseconds(datetime(1970, 1, 1, 0, 0, 1, 5, tzinfo=UTC))
    1000005
    """
    return (moment - _EPOCH) // timedelta(microseconds=1)


_encode = msgspec.json.Encoder().encode


def _places(values: Sequence[str], wanted: Sequence[str]) -> NDArray[np.int32]:
    place = {value: at for at, value in enumerate(values)}
    return np.array([place[value] for value in wanted], dtype=np.int32)


def _texts(values: NDArray[Any]) -> NDArray[Any]:
    return values.astype(str).astype(object) if values.dtype.kind == "S" else values


def _chunk(rows: Rows, parted: NDArray[np.int8], start: int, stop: int) -> dict[str, NDArray[Any]]:
    here = slice(start, stop)
    first = rows.events_from[start : stop + 1]
    flat = _texts(rows.events[first[0] : first[-1]]).tolist()
    begins = (first - first[0]).tolist()
    events = np.empty(stop - start, dtype=object)
    for at in range(stop - start):
        events[at] = flat[begins[at] : begins[at + 1]]
    return {
        "id": _texts(rows.ids[here]),
        "unit_id": np.array([rows.units[at] for at in rows.unit_of[here].tolist()], dtype=object),
        "occurred_us": rows.occurred_us[here],
        "known_us": rows.known_us[here],
        "slice": np.array([rows.slices[at] for at in rows.slice_of[here].tolist()], dtype=object),
        "cluster": rows.groups[here],
        "side": np.array([SIDES[at] for at in parted[here].tolist()], dtype=object),
        "teaches": rows.teaches[here],
        "own": rows.own[here],
        "weight": rows.weights[here],
        "value": rows.values[here],
        "events": events,
    }


class _Duck:
    """DuckDB in this process: one thread, so that bytes do not depend on who was faster, and nothing from outside."""

    def __enter__(self) -> _Duck:
        import duckdb

        self._connection = duckdb.connect(
            config={
                "threads": "1",
                "memory_limit": "192MB",
                "autoinstall_known_extensions": "false",
                "autoload_known_extensions": "false",
            }
        )
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def write(self, chunk: Mapping[str, NDArray[Any]], path: Path) -> Path:
        """The chunk as a Parquet file; times as timestamps, NaN as nothing.

        Raises:
            OSError: it cannot be written; a full disk is ENOSPC, as everywhere.
        """
        import duckdb

        self._connection.register("chunk", dict(chunk))
        try:
            self._connection.execute(_COPY.format(path=_quoted(path)))
        except duckdb.IOException as exc:
            number = errno.ENOSPC if "No space left" in str(exc) else errno.EIO
            raise OSError(number, os.strerror(number), str(path)) from exc
        self._connection.unregister("chunk")
        return path

    def read(self, paths: Sequence[Path]) -> Iterator[tuple[str, str, list[str], str]]:
        """Each row's id, unit, events and side, in the order they were written."""
        for path in paths:
            found = self._connection.execute(
                f"SELECT id, unit_id, events, side FROM read_parquet('{_quoted(path)}', file_row_number = true) "
                "ORDER BY file_row_number"
            )
            while some := found.fetchmany(10_000):
                yield from some


_COPY = """
COPY (
    SELECT id::VARCHAR AS id, unit_id::VARCHAR AS unit_id, make_timestamp(occurred_us) AS occurred_at,
        make_timestamp(known_us) AS known_at, slice::VARCHAR AS slice, cluster, side::VARCHAR AS side, teaches, own,
        weight, CASE WHEN isnan(value) THEN NULL ELSE value END AS value, events::VARCHAR[] AS events
    FROM chunk
) TO '{path}' (FORMAT parquet, COMPRESSION zstd)
"""


def _quoted(path: Path) -> str:
    return str(path).replace("'", "''")
