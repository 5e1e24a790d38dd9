"""The measurement: everything not yet seen is ranked, and bad files are refused by line."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from ikkan.apps.shop.rules.next_item import ranking
from ikkan.apps.shop.service import evaluating
from ikkan.cli import app
from ikkan.ground.errors import BadFile


def test_seen_items_do_not_compete_and_ties_count_against() -> None:
    scores = np.array([[9.0, 5.0, 4.0, 4.0], [1.0, 1.0, 1.0, 1.0], [0.0, 0.0, 0.0, 7.0]])
    seen = [np.array([0]), np.array([], dtype=int), np.array([3])]
    assert ranking.ranks(scores, seen, np.array([2, 1, 3])).tolist() == [3, 4, 1]


def test_an_answer_the_model_does_not_know_ranks_last() -> None:
    assert ranking.ranks(np.array([[1.0, 2.0]]), [np.array([0])], np.array([7])).tolist() == [2]


def test_gains_are_the_published_ones() -> None:
    means = ranking.means(np.array([1, 3, 11]))
    assert means["ndcg@10"] == pytest.approx((1 + 0.5) / 3)
    assert means["hr@20"] == 1.0


def test_an_interval_holds_its_mean() -> None:
    found = ranking.bootstrap(np.random.default_rng(0).random(500))
    assert found.low < found.mean < found.high


def test_leave_one_out_keeps_the_last_for_the_question_and_the_one_before_for_choosing(tmp_path: Path) -> None:
    path = tmp_path / "walks.txt"
    path.write_text("ann 5 6 7 8\nbob 6 7\n")
    asked = evaluating.leave_one_out(evaluating.read_sequences(path))
    assert [each.tolist() for each in asked.training] == [[0, 1, 2]]
    assert (asked.held, asked.targets.tolist(), asked.item_ids) == ([1], [3], ("5", "6", "7", "8"))


def test_a_temporal_split_asks_only_about_what_came_after(tmp_path: Path) -> None:
    path = tmp_path / "ratings.csv"
    lines = [f"{at % 4},{at % 7},3.5,{1000 + at}" for at in range(100)]
    path.write_text("\n".join(["userId,movieId,rating,timestamp", *reversed(lines)]))
    found = evaluating.read_events(path)
    asked = evaluating.temporal(found)
    assert asked.times is not None and max(each.max() for each in asked.times) < 1090
    assert len(asked.targets) == 10
    assert sum(asked.held) == 10
    assert asked.known == [len(each) for each in asked.inputs]
    assert min(float(each.min()) for each in asked.ages_s or []) > 0


@pytest.mark.parametrize(
    ("read", "text", "said"),
    [
        (evaluating.read_sequences, "1 2 3\n2\n", "line 2 of .* has a user and no item"),
        (evaluating.read_sequences, "1 2 3\n\n1 4 5\n", "line 3 of .* is a second one for user '1', first in line 1"),
        (evaluating.read_sequences, "\n", "has no interactions"),
        (evaluating.read_events, "user,item,value,timestamp\n1,2,3\n", "line 2 of .* has 3 fields"),
        (evaluating.read_events, "1,2,3,4\n1,2,3,yesterday\n", "line 2 of .* has the time 'yesterday'"),
        (evaluating.read_events, "1,2,3,4\n1,2,3,nan\n", "line 2 of .* has the time 'nan'"),
        (evaluating.read_events, "1,,3,4\n", "line 1 of .* names no user or no item"),
        (evaluating.read_events, "user,item,value,timestamp\n", "has no events"),
    ],
)
def test_a_bad_file_is_refused_by_line(read, text: str, said: str, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / "file.txt"
    path.write_text(text)
    with pytest.raises(BadFile, match=said):
        read(path)


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", None])
def test_a_file_that_is_no_text_or_not_there_is_refused(content: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "file.txt"
    path.write_bytes(content or b"")
    path = path if content else tmp_path / "none.txt"
    with pytest.raises(BadFile):
        evaluating.read_sequences(path)


def test_the_command_prints_means_intervals_and_seeds(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    path = tmp_path / "walks.txt"
    path.write_text(
        "\n".join(
            f"u{who} " + " ".join(str((generator.integers(20) + at) % 20) for at in range(6)) for who in range(60)
        )
    )
    told = CliRunner().invoke(
        app, ["shop", "evaluate", "--interactions", str(path), "--seeds", "2", "--size", "1", "--json"]
    )
    seen = json.loads(told.stdout.splitlines()[-1])
    assert told.exit_code == 0
    assert {f"{name}@{cut}" for name in ("ndcg", "hr") for cut in (5, 10, 20)} <= seen.keys()
    assert [each["seed"] for each in seen["seeds"]] == [0, 1]
    assert seen["ndcg@10"] == pytest.approx(np.mean([each["ndcg@10"] for each in seen["seeds"]]))
    assert seen["intervals"]["ndcg@10"]["low"] <= seen["ndcg@10"] <= seen["intervals"]["ndcg@10"]["high"]
    assert seen["training_s"] > 0
    assert set(seen["baselines"]) == {"popularity", "what_followed"}


def test_the_command_measures_a_temporal_split_by_what_was_known(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    path = tmp_path / "ratings.csv"
    path.write_text("\n".join(f"{generator.integers(30)},{generator.integers(40)},4.0,{at * 60}" for at in range(600)))
    told = CliRunner().invoke(
        app, ["shop", "evaluate", "--interactions", str(path), "--protocol", "temporal", "--size", "1"]
    )
    assert told.exit_code == 0, told.output
    assert "events known" in told.stdout and ">5" in told.stdout
