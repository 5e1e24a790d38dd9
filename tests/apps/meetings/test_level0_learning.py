"""How Level 0 learns: the same lessons teach the same, what was marked is found, and the shipped file is sound."""

from __future__ import annotations

import gzip
import json
import os
from importlib import resources
from pathlib import Path

import numpy as np
import pytest

from ikkan.apps.meetings.rules.level0 import extract
from ikkan.apps.meetings.rules.level0.corpus import lesson_of, linked, transcript_of
from ikkan.apps.meetings.rules.level0.features import COLUMNS, rows, stacked
from ikkan.apps.meetings.rules.level0.keypoints import copies_wanted
from ikkan.apps.meetings.rules.level0.model import FILE, Model, shipped
from ikkan.apps.meetings.rules.level0.train import Lesson, learn
from ikkan.apps.meetings.values import Kind

HOUSE = Path(__file__).parents[3]
QUESTIONS = ("actions", "decisions", "importance")
TASKS = ("send the offer", "call the printer", "book the room", "write the report", "ask the lawyer")
TALK = (
    "the weather was very nice on that day",
    "i like the blue one a little more than the green one",
    "it was the same price in the other shop",
    "yeah the screen is too small for that",
)


def record(number: int) -> dict[str, object]:
    """A made-up meeting in the form of the corpora: talk, a decision, and one task given near the end."""
    task = TASKS[number % len(TASKS)]
    said = [TALK[(number + at) % len(TALK)] for at in range(120)]
    said[80] = f"so we decided on colour number {number}"
    said[110] = f"bob you will {task} for the next meeting"
    marks: dict[int, list[str]] = {80: ["d"], 110: ["a"]}
    return {
        "meeting": f"XX{number:04d}a",
        "summary": [
            {"id": "a", "type": "actions", "text": f"Bob will {task}."},
            {"id": "d", "type": "decisions", "text": f"Colour number {number}."},
        ],
        "dialogue_acts": [
            {
                "id": f"act{at}",
                "speaker": "AB"[at % 2],
                "text": text,
                "start": float(at),
                "end": at + 1.0,
                "ext": int(at in marks),
                "abs": marks.get(at, []),
            }
            for at, text in enumerate(said)
        ],
    }


def lessons(n: int) -> list[Lesson]:
    return [lesson_of(record(number), questions=QUESTIONS) for number in range(n)]


@pytest.fixture(scope="module")
def taught() -> Model:
    return learn(lessons(12))


def test_what_was_marked_in_other_meetings_is_found_in_a_new_one(taught: Model) -> None:
    unseen = record(99)
    found = extract(transcript_of(unseen), model=taught)
    first = {kind: next(one for one in found if one.kind is kind) for kind in (Kind.ACTION, Kind.DECISION)}
    assert first[Kind.ACTION].evidence == ("act110",)
    assert first[Kind.DECISION].evidence == ("act80",)
    assert first[Kind.ACTION].confidence >= taught.actions.threshold


def test_the_same_lessons_teach_the_same_bytes_and_a_file_gives_the_model_back(taught: Model) -> None:
    data = taught.pack()
    assert learn(lessons(12)).pack() == data
    assert Model.unpack(data).pack() == data


def test_a_meeting_nobody_marked_for_actions_teaches_importance_only() -> None:
    asked = lessons(8)
    others = [lesson_of(record(number), questions=("importance",)) for number in range(20, 24)]
    alone, both = learn(asked), learn([*asked, *others])
    np.testing.assert_array_equal(alone.actions.weights, both.actions.weights)
    assert not np.array_equal(alone.importance.weights, both.importance.weights)


def test_rows_times_and_turned_agree_with_a_full_table() -> None:
    tables = [one.table for one in lessons(3)]
    table = stacked(tables)
    full = np.zeros((len(table), COLUMNS), dtype=np.float32)
    for row, (first, end) in enumerate(zip(table.starts, table.starts[1:], strict=False)):
        full[row, table.columns[first:end]] = table.values[first:end]
    weights = np.random.default_rng(1).normal(size=COLUMNS).astype(np.float32)
    slopes = np.random.default_rng(2).normal(size=len(table)).astype(np.float32)
    np.testing.assert_allclose(table.times(weights), full @ weights, rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(table.turned(slopes), full.T @ slopes, rtol=1e-3, atol=1e-3)
    kept = np.arange(len(table)) % 3 == 0
    np.testing.assert_allclose(table.take(kept).times(weights), table.times(weights)[kept], rtol=1e-5)
    assert len(rows([])) == 0


def test_chances_of_copies_sum_to_how_often_a_word_is_expected() -> None:
    np.testing.assert_allclose(copies_wanted(np.array([0.01, 0.5, 3.0])).sum(axis=1), [0.01, 0.5, 3.0], rtol=1e-3)


def test_the_shipped_weights_are_small_finite_and_have_a_card() -> None:
    folder = resources.files("ikkan.apps.meetings") / "weights"
    assert len((folder / FILE).read_bytes()) < 2_000_000
    model = shipped()
    for head in (model.actions, model.decisions, model.importance):
        assert np.isfinite(head.weights).all()
        assert 0 < head.threshold < 1
    card = (folder / "README.md").read_text(encoding="utf-8")
    assert "CC BY 4.0" in card and "Carletta" in card and "Janin" in card


def test_on_a_real_meeting_the_first_candidates_hold_what_was_minuted() -> None:
    root = Path(os.environ.get("IKKAN_TEST_DATA") or HOUSE.parent / "shared" / "data")
    file = root / "meetings" / "ami" / "ami_shared.jsonl.gz"
    if not file.is_file():
        pytest.skip(f"the AMI records are not here: {file}; set IKKAN_TEST_DATA to the folder that has meetings/")
    with gzip.open(file, "rt", encoding="utf-8") as lines:
        real = json.loads(next(lines))
    supports = linked(real, "actions")
    shown = [one for one in extract(transcript_of(real)) if one.kind is Kind.ACTION][:20]
    # The shipped weights have seen this meeting: that the file and the code fit together is all this shows.
    assert set().union(*(supports.get(one.evidence[0], set()) for one in shown)) == set().union(*supports.values())
