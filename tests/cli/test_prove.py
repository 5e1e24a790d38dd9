"""`ikkan prove flywheel`: the hash first, then the proof in a file; the status says whether it is one."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from ikkan import bootstrap
from ikkan.apps.assistant.learn import IntentLearnable
from ikkan.cli import app
from ikkan.flywheel.proof import World
from ikkan.flywheel.proof.fakes import FakeWorld
from ikkan.ground.errors import BadFile, BadInput, NotFound, UnknownLearnable

Run = Callable[..., Any]
KEYS = ("gain", "lower", "upper", "placebo", "self_training", "null_promoted", "null_tried", "test", "verdict")


@pytest.fixture
def run(home: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setenv("IKKAN_HOME", str(home))
    monkeypatch.delenv("IKKAN_TEST_MODELS", raising=False)  # the tests' own; no setting is called so

    def invoke(*arguments: object) -> Any:
        return CliRunner().invoke(app, [str(each) for each in arguments])

    return invoke


def given(monkeypatch: pytest.MonkeyPatch, world: World) -> None:
    monkeypatch.setattr(IntentLearnable, "world", lambda self, data, quick=False: world)


@pytest.mark.parametrize(("forgets", "verdict", "status"), [(False, "pass", 0), (True, "fail", 1)])
def test_the_status_is_the_verdict(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, forgets: bool, verdict: str, status: int
) -> None:
    given(monkeypatch, FakeWorld(forgets=forgets))
    paths = ("--json", tmp_path / "proof.json", "--report", tmp_path / "proof.html")
    done = run("prove", "flywheel", "--learnable", "assistant.intent", "--quick", *paths)
    assert done.exit_code == status, done.output
    proof = json.loads((tmp_path / "proof.json").read_text())
    assert set(KEYS) <= proof.keys()
    assert (proof["verdict"], proof["test"], proof["null_tried"]) == (verdict, None, 100)
    assert done.stdout.startswith(f"protocol {proof['protocol_hash']}\n")
    assert proof["protocol_hash"] in (tmp_path / "proof.html").read_text()
    assert sorted(path.name for path in tmp_path.glob("proof*")) == ["proof.html", "proof.json"]


def test_a_test_file_is_scored_at_the_end_by_what_learned_the_whole_data_file(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given(monkeypatch, FakeWorld())
    labelled(tmp_path)
    files = ("--data", tmp_path / "data.csv", "--test", tmp_path / "test.csv", "--json", tmp_path / "proof.json")
    done = run("prove", "flywheel", "--learnable", "assistant.intent", "--quick", "--seeds", 1, "--rounds", 1, *files)
    proof = json.loads((tmp_path / "proof.json").read_text())
    assert proof["test"]["accuracy"] == proof["test"]["coverage_at_97"] == 1.0
    assert proof["protocol"]["test"] and proof["protocol"]["data"] != proof["protocol"]["test"]
    # One seed proves nothing, however well the test went.
    assert done.exit_code == 1


def labelled(folder: Path) -> None:
    rows = [f"{('card', 'refund')[n % 2]} matter {n * 7919 % 10_007},{('card', 'refund')[n % 2]}" for n in range(300)]
    (folder / "data.csv").write_text("\n".join(["text,category", *rows]))
    (folder / "test.csv").write_text("text,category\nthe card matter,card\nmy refund matter,refund\n")


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (["--learnable", "assistant.answer"], BadInput, "no world"),
        (["--learnable", "nobody"], UnknownLearnable, "nobody"),
        (["--learnable", "assistant.intent", "--data", "missing.csv"], NotFound, "missing.csv"),
        (["--learnable", "assistant.intent", "--test", "missing.csv"], BadInput, "nothing to learn from"),
        (["--learnable", "assistant.intent", "--report", "/nowhere/at/all.html"], BadInput, "cannot write"),
    ],
)
def test_what_cannot_be_proved_is_said_at_once(
    run: Run, tmp_path: Path, arguments: list[str], error: type[Exception], message: str
) -> None:
    done = run("prove", "flywheel", "--json", tmp_path / "proof.json", *arguments)
    assert isinstance(done.exception, error) and message in str(done.exception)
    assert list(tmp_path.glob("proof*")) == []


def test_a_file_is_learned_by_the_wheel_and_nobody_is_switched(run: Run, tmp_path: Path) -> None:
    labelled(tmp_path)
    files = ("--data", tmp_path / "data.csv", "--test", tmp_path / "test.csv")
    done = run("flywheel", "run", "assistant.intent", *files, "--json")
    told = json.loads(done.stdout)
    assert told["test"]["accuracy"] == 1.0 and told["test"]["coverage_at_97"] == 1.0
    assert (told["examples"], told["tested"], told["decision"]) == (300, 2, "learned")
    status = json.loads(run("flywheel", "status", "assistant.intent", "--json").stdout)
    assert status["champion"] is None


def test_a_file_is_learned_in_the_time_that_is_given_and_each_rung_says_what_it_answers(
    run: Run, tmp_path: Path
) -> None:
    labelled(tmp_path)
    files = ("--data", tmp_path / "data.csv", "--test", tmp_path / "test.csv")
    told = json.loads(run("flywheel", "run", "assistant.intent", *files, "--seconds", "2", "--json").stdout)
    with bootstrap.opened(bootstrap.settings()) as platform:
        facts = platform.artifacts.get(told["artifact"]).manifest.facts
    assert (facts["lessons"], facts["rungs"]) == (200, ["nearest", "linear"])
    assert told["test"]["nearest_answers"] + told["test"]["linear_answers"] == told["test"]["coverage"]


def test_time_without_a_file_is_refused(run: Run) -> None:
    done = run("flywheel", "run", "assistant.intent", "--seconds", "2")
    assert isinstance(done.exception, BadInput) and "nothing to learn from" in str(done.exception)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "no columns text and category, but nothing"),
        (b"text,intent\nhello,card\n", "no columns text and category, but text, intent"),
        (b"text,category\nhello,card\n\xff\xfe,card\n", "not UTF-8: line 3, byte 25"),
        (b"text,category\nhello,card\n,refund\n", "row 2 has no text"),
        (b"text,category\nhello,card\nagain,card\n", "fewer than two categories"),
    ],
)
def test_a_bad_file_says_where_and_what(run: Run, tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "data.csv").write_bytes(content)
    done = run("flywheel", "run", "assistant.intent", "--data", tmp_path / "data.csv", "--json")
    assert isinstance(done.exception, BadFile) and message in str(done.exception)
