"""`ikkan meetings minutes` as a person types it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from ikkan import bootstrap
from ikkan.cli import app
from ikkan.ground.errors import BadInput, RequestTooLarge, SetupNeeded
from ikkan.ground.settings import Settings


@pytest.fixture
def ikkan(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(bootstrap, "settings", lambda: replace(settings, transcript_bytes=4_000))
    return lambda *words: CliRunner().invoke(app, ["meetings", "minutes", *words], catch_exceptions=False)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "said.txt"
    path.write_text("[00:01:05] 佐藤：予算はいくらですか？\n[00:01:09] 鈴木：百万円です。\n", encoding="cp932")
    return path


def test_a_transcript_in_minutes_out(ikkan: Any, file: Path) -> None:
    told = json.loads(ikkan(str(file), "--held-on", "2026-06-01", "--json").stdout)
    assert [(each["id"], each["speaker"], each["start_s"]) for each in told["segments"]] == [
        ("s1", "佐藤", 65.0), ("s2", "鈴木", 69.0),
    ]  # fmt: skip
    question = next(each for each in told["extractions"] if each["kind"] == "question")
    assert {"kind", "text", "owner", "due", "confidence", "evidence", "made_by"} <= set(question)
    assert question["evidence"] == ["s1"]
    assert told["minutes_markdown"].startswith("# 議事録\n") and told["held_on"] == "2026-06-01"


def test_for_people_it_prints_the_minutes(ikkan: Any, file: Path) -> None:
    text = ikkan(str(file), "--form", "board", "--title", "6月").stdout
    assert text.startswith("# 6月\n") and "## 決議事項" in text and "佐藤、鈴木" in text


def test_what_is_too_large_is_refused_before_it_is_read(ikkan: Any, file: Path) -> None:
    with file.open("ab") as grown:
        grown.truncate(200_000_000)
    with pytest.raises(RequestTooLarge, match="4,000 bytes"):
        ikkan(str(file))


@pytest.mark.parametrize(
    ("words", "kind"),
    [(["--level", "1"], SetupNeeded), (["--held-on", "soon"], BadInput), (["--language", "fr"], BadInput)],
)
def test_what_cannot_be_done_is_said(ikkan: Any, file: Path, words: list[str], kind: type[Exception]) -> None:
    with pytest.raises(kind):
        ikkan(str(file), *words)
