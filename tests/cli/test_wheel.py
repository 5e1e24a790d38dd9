"""The wheel at the command line: every verb, in words and as JSON, in both languages."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from ikkan import bootstrap
from ikkan.cli import app
from ikkan.cli.wheel_words import told_status
from ikkan.ground.errors import BadInput, Conflict, IkkanError, NotFound, UnknownLearnable
from ikkan.ground.settings import load_settings

NAME = "assistant.answer"
Cli = Callable[..., Any]


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A regulated home with the sample, whose candidate passed the gate and waits for a signature."""
    home = tmp_path_factory.mktemp("prepared") / "home"
    with bootstrap.opened(load_settings({"IKKAN_HOME": str(home), "IKKAN_FLYWHEEL_POLICY": "regulated"})) as platform:
        bootstrap.load_sample(platform)
        assert platform.flywheel.run(NAME).decision == "awaiting"
    return home


@pytest.fixture
def environ(prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """What the command line sees of the environment: a copy of that home, and an English terminal."""
    home = tmp_path / "home"
    shutil.copytree(prepared, home)
    seen = {"IKKAN_HOME": str(home), "IKKAN_FLYWHEEL_POLICY": "regulated", "LANG": "en_GB.UTF-8"}
    monkeypatch.setattr(bootstrap, "environ", lambda: seen)
    return seen


@pytest.fixture
def cli(environ: dict[str, str]) -> Cli:
    """Runs `ikkan flywheel …`; gives its JSON with `--json`, else its text."""

    def run(*words: str) -> Any:
        result = CliRunner().invoke(app, ["flywheel", *words], catch_exceptions=True)
        if isinstance(result.exception, IkkanError):
            raise result.exception
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout) if "--json" in words else result.stdout

    return run


def test_status_says_everything_a_person_asks(cli: Cli) -> None:
    text = cli("status", NAME)
    for said in ("company knowledge only", "not learned yet", "waits for a signature", "next look", "regulated:", "no"):
        assert said in text
    told = cli("status", NAME, "--json")
    assert {"champion", "can_roll_back", "fresh", "last", "trial"} <= set(told), "what others rely on stays"
    assert {"own_fresh", "drift", "wants_turn", "next_look", "policy", "yen_per_success"} <= set(told)
    assert (told["policy"], told["trial"]["state"]) == ("regulated", "awaiting_signature")
    assert [each["learnable"] for each in cli("status", "--json")] == [
        NAME,
        "assistant.intent",
        "assistant.reply_style",
        "meetings.action_items",
        "meetings.key_points",
        "shop.blend",
        "shop.mood",
        "shop.next_item",
        "shop.support_intent",
    ]


def test_it_speaks_japanese_too(cli: Cli, environ: dict[str, str]) -> None:
    environ["LANG"] = "ja_JP.UTF-8"
    assert "署名待ち" in cli("status", NAME) and "昇格" not in cli("history", NAME)
    decision = cli("history", NAME, "--json")[0]
    assert decision["reason_ja"] in cli("explain", decision["id"])


@pytest.mark.parametrize(
    ("word", "outcome", "code"),
    [("--accept", "promoted", "signed_after_gate"), ("--reject", "refused", "signature_refused")],
)
def test_a_signature_promotes_or_sends_away(cli: Cli, word: str, outcome: str, code: str) -> None:
    waiting = cli("status", NAME, "--json")["last"]["id"]
    assert f"ikkan flywheel sign {waiting}" in cli("explain", waiting)
    decision = cli("sign", waiting, word, "--reason", "read by two of us", "--json")
    assert (decision["decision"], decision["code"], decision["signed_by"]) == (outcome, code, "local")
    assert "read by two of us" in decision["reason"]
    with pytest.raises(Conflict):
        cli("sign", waiting, word)


def test_a_signature_says_yes_or_no_and_to_what_was_read(cli: Cli) -> None:
    waiting = cli("status", NAME, "--json")["last"]["id"]
    with pytest.raises(BadInput):
        cli("sign", waiting)
    with pytest.raises(NotFound):
        cli("sign", "no-such-decision", "--accept")
    installed = cli("history", NAME, "--json")[-1]["id"]
    with pytest.raises(Conflict, match="not about the candidate"):
        cli("sign", installed, "--accept")


def test_a_forced_promotion_needs_a_reason_and_can_be_taken_back(cli: Cli) -> None:
    before = cli("status", NAME, "--json")
    candidate = before["last"]["candidate"]
    with pytest.raises(BadInput):
        cli("promote", NAME, candidate)
    assert cli("status", NAME, "--json")["champion"] == before["champion"]
    text = cli("promote", NAME, candidate[7:19], "--reason", "the board decided")
    assert text.startswith("promoted: ") and "the board decided" in text
    assert cli("status", NAME, "--json")["champion"] == candidate
    assert cli("rollback", NAME, "--reason", "it was a mistake", "--json")["code"] == "rolled_back"
    assert cli("status", NAME, "--json")["champion"] == before["champion"]


def test_a_turn_while_somebody_waits_is_a_look(cli: Cli) -> None:
    text = cli("run", NAME)
    assert text.startswith("waits for a signature: ") and "ikkan flywheel explain" in text
    assert cli("run", NAME, "--json")["decision"] == "awaiting"


def test_looking_watching_and_the_trial(cli: Cli) -> None:
    assert cli("look", NAME, "--json")["decision"] == "awaiting"
    assert cli("watch", NAME, "--json") is None and "no drift" in cli("watch", NAME)
    told = cli("trial", NAME, "--json")
    assert told["state"] == "awaiting_signature" and told["looks"][0]["code"] == "better"
    assert "round 1, waits for a signature" in cli("trial", NAME)
    assert cli("look", "assistant.intent", "--json") is None and "nobody" in cli("trial", "assistant.intent")


def test_every_decision_is_listed_and_explained_and_comes_out_the_same_again(cli: Cli) -> None:
    decisions = cli("history", NAME, "--json")
    assert [each["decision"] for each in decisions] == ["awaiting", "installed"]
    assert all(each["id"] in cli("history", NAME) for each in decisions)
    assert "computed again: the same" in cli("explain", decisions[0]["id"], "--replay")


def test_an_unknown_learnable_is_named(cli: Cli) -> None:
    with pytest.raises(UnknownLearnable) as told:
        cli("run", "assistant.nothing")
    assert NAME in told.value.hint


def test_a_look_that_is_overdue_asks_after_the_worker(cli: Cli, prepared: Path, clock: Any) -> None:
    with bootstrap.opened(load_settings({"IKKAN_HOME": str(prepared)})) as platform:
        status = platform.flywheel.status("assistant.intent")
    late = replace(status, next_look=clock.now())
    clock.advance(3_600)
    assert "is the worker running?" in told_status(late, clock.now(), "en")
    assert "is the worker" not in told_status(replace(late, next_look=clock.now()), clock.now(), "en")
