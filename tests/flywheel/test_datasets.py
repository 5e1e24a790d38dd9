"""A dataset is kept for good, byte for byte, without anyone's words, and says whose rows it has."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import numpy as np
import pytest

from ikkan.flywheel import NO_EXAMPLES, Examples, datasets
from ikkan.flywheel.split import clusters, split
from ikkan.ground.artifacts import ArtifactStore
from ikkan.ground.errors import LeakFound, UnknownArtifact

from .conftest import NAME, Wheel

START = datetime(2026, 1, 1, tzinfo=UTC)
FACTS = {"learnable": "fake.answer", "until": "2026-02-01T00:00:00+00:00", "salt": "s"}


def examples(n: int) -> Examples:
    moments = tuple(START + timedelta(hours=hour) for hour in range(n))
    words = [f"{'猫犬鳥魚馬'[at % 5]}について{at * 7919}番の質問をします" for at in range(n)]
    return Examples(
        ids=tuple(f"e{at}" for at in range(n)),
        unit_ids=tuple(f"person-{at % 7}" for at in range(n)),
        occurred_at=moments,
        known_at=moments,
        slices=tuple(("ja", "en")[at % 2] for at in range(n)),
        keys=tuple(words),
        inputs=tuple(words),
        truths=tuple("right" for _ in range(n)),
        teaches=np.ones(n, dtype=bool),
        own=np.zeros(n, dtype=bool),
        evidence=tuple((f"served-{at}", f"said-{at}") for at in range(n)),
    )


@pytest.fixture
def artifacts(tmp_path: Path) -> ArtifactStore:
    return ArtifactStore(tmp_path / "artifacts")


def rows(n: int = 40) -> datasets.Rows:
    seen = examples(n)
    return datasets.Rows.of(seen, clusters(seen.keys))


def test_what_was_written_comes_back(artifacts: ArtifactStore) -> None:
    mine = replace(rows(), groups=np.arange(40))
    parted = np.array([0, 1, 2, 1] * 10, dtype=np.int8)
    kept = datasets.write(artifacts, mine, parted, FACTS, background={"knowledge.json": b"[]"})
    read = datasets.read(artifacts, kept.id)
    assert read.ids == tuple(mine.ids) and read.unit_ids == {f"person-{n}" for n in range(7)}
    assert read.teach == [f"e{at}" for at in range(40) if at % 2] and read.judge == [f"e{at}" for at in range(2, 40, 4)]
    assert read.events_of[3] == ("served-3", "said-3") and len(read.event_ids) == 80
    assert read.facts["counts"] == {"aside": 10, "teach": 20, "judge": 10} and read.facts["salt"] == "s"
    assert read.background == datasets.background(artifacts, kept.id) == {"knowledge.json": b"[]"}


def test_the_same_rows_give_the_same_bytes(tmp_path: Path) -> None:
    made = [
        datasets.write(ArtifactStore(tmp_path / name), rows(300), np.ones(300, dtype=np.int8), FACTS)
        for name in ("one", "other")
    ]
    assert made[0].id == made[1].id
    files = [sorted((name, entry.sha256) for name, entry in kept.manifest.files.items()) for kept in made]
    assert files[0] == files[1]


def test_one_row_less_is_another_dataset(artifacts: ArtifactStore) -> None:
    whole = datasets.write(artifacts, rows(30), np.ones(30, dtype=np.int8), FACTS)
    less = datasets.write(artifacts, rows(29), np.ones(29, dtype=np.int8), FACTS)
    told = [datasets.facts(artifacts, kept.id)["rows_sha256"] for kept in (whole, less)]
    assert whole.id != less.id and told[0] != told[1]


def test_rows_go_into_files_of_bounded_size(artifacts: ArtifactStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets, "ROWS_IN_A_FILE", 16)
    kept = datasets.write(artifacts, rows(40), np.ones(40, dtype=np.int8), FACTS)
    assert datasets.facts(artifacts, kept.id)["files"] == [f"rows-{n:04}.parquet" for n in range(3)]
    assert datasets.read(artifacts, kept.id).ids == tuple(f"e{at}" for at in range(40))


def test_an_empty_dataset_is_one_too(artifacts: ArtifactStore) -> None:
    kept = datasets.write(artifacts, datasets.Rows.of(NO_EXAMPLES), np.zeros(0, dtype=np.int8), FACTS)
    read = datasets.read(artifacts, kept.id)
    assert (read.ids, read.teach, read.unit_ids, read.facts["rows"]) == ((), [], frozenset(), 0)


def test_a_file_that_cannot_be_written_is_an_error_of_the_disk(artifacts: ArtifactStore, tmp_path: Path) -> None:
    # DuckDB has errors of its own; whoever waits for a full disk looks for the system's.
    with datasets._Duck() as duck, pytest.raises(OSError, match="missing"):
        duck.write(datasets._chunk(rows(3), np.ones(3, dtype=np.int8), 0, 3), tmp_path / "missing" / "rows.parquet")


def test_other_tools_read_the_rows(artifacts: ArtifactStore) -> None:
    kept = datasets.write(artifacts, rows(), np.ones(40, dtype=np.int8), FACTS)
    found = duckdb.sql(
        f"SELECT side, count(*), min(occurred_at), count(value) FROM '{kept.path}/rows-0000.parquet' GROUP BY side"
    ).fetchall()
    assert found == [("teach", 40, START.replace(tzinfo=None), 0)]


def test_a_dataset_of_an_earlier_release_is_still_read(artifacts: ArtifactStore) -> None:
    former = {"teaching": ["a"], "judging": ["b"], "events": {"a": ["1", "2"], "b": ["3"], "c": ["4"]}, "seed": 7}
    kept = artifacts.put({"dataset.json": json.dumps(former).encode()}, kind=datasets.KIND, source="earlier")
    read = datasets.read(artifacts, kept.id)
    assert (read.teach, read.judge, read.event_ids, read.facts["seed"]) == (["a"], ["b"], {"1", "2", "3", "4"}, 7)


def test_a_destroyed_dataset_is_named() -> None:
    with pytest.raises(UnknownArtifact):
        datasets.read(ArtifactStore(Path("nowhere")), "sha256:" + "0" * 64)  # type: ignore[arg-type]


def test_rows_are_parted_as_examples_are() -> None:
    seen = examples(200)
    seen = replace(seen, keys=tuple(f"{key}!" if at % 3 else seen.keys[0] for at, key in enumerate(seen.keys)))
    cutoff, groups = START + timedelta(hours=120), clusters(seen.keys)
    assert (
        datasets.part(datasets.Rows.of(seen, groups), cutoff).tolist()
        == datasets.sides(split(seen, cutoff, groups)).tolist()
    )


def test_a_parting_that_would_leak_raises() -> None:
    mine = rows(20)
    shared = replace(mine, groups=np.zeros(20, dtype=np.int64))
    assert set(datasets.part(shared, START + timedelta(hours=10)).tolist()) == {0, 1}
    both = np.where(np.arange(20) < 10, 1, 2).astype(np.int8)
    with pytest.raises(LeakFound):
        datasets.refuse_leaks(shared, both)


def test_the_wheel_says_what_it_asked_of_the_log(wheel: Wheel) -> None:
    wheel.happen(200, seed=1)
    decision = wheel.flywheel.run(NAME)
    assert decision.dataset is not None
    read = datasets.read(wheel.artifacts, decision.dataset)
    (asked,) = read.facts["query"]
    assert (asked["names"], asked["purpose"], asked["until"]) == (["FakeAnswered"], "improve", read.facts["until"])
    assert read.event_ids == {event.id for event in wheel.events.events}
    assert read.unit_ids <= {event.subject_id for event in wheel.events.events}
    assert (len(read.teach), len(read.judge)) == (decision.numbers["teaching"], decision.numbers["judging"])


def test_no_one_s_words_stand_in_the_files(wheel: Wheel) -> None:
    wheel.happen(200, seed=1)
    decision = wheel.flywheel.run(NAME)
    assert decision.dataset is not None
    kept = wheel.artifacts.get(decision.dataset)
    columns = duckdb.sql(f"SELECT * FROM '{kept.path}/rows-0000.parquet'").fetchall()
    said = json.dumps(columns, default=str) + (kept.path / "dataset.json").read_text()
    words = [str(event.payload["text"]) for event in wheel.events.events]
    assert not any(word in said or hashlib.sha256(word.encode()).hexdigest() in said for word in words)
