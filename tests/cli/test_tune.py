"""`ikkan tune` as a person types it: a file, a list, a way to stop."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner

from ikkan import bootstrap
from ikkan.bootstrap import platform as house
from ikkan.cli import app
from ikkan.cloud.tuning.values import Base
from ikkan.ground.db import upgrade
from ikkan.ground.errors import BadInput
from ikkan.ground.settings import Settings

LINE = json.dumps({"messages": [{"role": "user", "content": "Is it?"}, {"role": "assistant", "content": "Yes."}]})


@pytest.fixture
def ikkan(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Runs a command in a home whose engine serves a model that can be trained; no worker is there."""
    upgrade(settings.database_url)
    monkeypatch.setattr(house, "home_bases", lambda store: {"default": Base("Tiny-1M", "b" * 64)}.get)

    @contextmanager
    def opened(_: Settings) -> Iterator[Any]:
        with house.opened(settings) as platform:
            house._prepare_cloud(platform)
            platform.cloud.service.set_alias("default", "local/default")
            yield platform

    monkeypatch.setattr(bootstrap, "settings", lambda: settings)
    monkeypatch.setattr(bootstrap, "opened", opened)

    def run(*words: str) -> Any:
        done = CliRunner().invoke(app, list(words))
        return SimpleNamespace(code=done.exit_code, out=done.stdout, error=done.exception)

    return run


def test_a_file_is_queued_listed_and_cancelled(ikkan: Any, home: Path) -> None:
    (home / "lines.jsonl").write_text(f"{LINE}\n" * 3)
    begun = ikkan("tune", str(home / "lines.jsonl"), "--suffix", "desk", "--epochs", "2", "--no-wait", "--json")
    job = json.loads(begun.out)
    assert (job["state"], job["base"], job["steps"], job["model"]) == ("validating_files", "Tiny-1M", 6, None)
    (listed,) = json.loads(ikkan("tune", "list", "--json").out)
    assert listed["id"] == job["id"]
    assert "Tiny-1M" in ikkan("tune", "list").out
    stopped = ikkan("tune", "cancel", job["id"])
    assert stopped.code == 0 and "cancelled, 0 of 6 steps" in stopped.out


def test_a_bad_line_and_a_base_that_is_not_ours_are_told_in_words(ikkan: Any, home: Path) -> None:
    (home / "lines.jsonl").write_text(f"{LINE}\n{{")
    bad = ikkan("tune", str(home / "lines.jsonl"), "--no-wait")
    assert isinstance(bad.error, BadInput) and "line 2" in bad.error.message
    (home / "lines.jsonl").write_text(LINE)
    foreign = ikkan("tune", str(home / "lines.jsonl"), "--base", "vendor/gpt", "--no-wait")
    assert isinstance(foreign.error, BadInput) and "our own engine" in foreign.error.message
    missing = ikkan("tune", str(home / "nothing.jsonl"), "--no-wait")
    assert isinstance(missing.error, BadInput) and "nothing.jsonl" in missing.error.message
