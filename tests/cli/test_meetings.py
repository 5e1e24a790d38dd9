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
from ikkan.ground.errors import BadInput, RequestTooLarge
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
    [(["--form", "poem"], BadInput), (["--held-on", "soon"], BadInput), (["--language", "fr"], BadInput)],
)
def test_what_cannot_be_done_is_said(ikkan: Any, file: Path, words: list[str], kind: type[Exception]) -> None:
    with pytest.raises(kind):
        ikkan(str(file), *words)


def test_without_a_model_level_1_is_level_0_and_says_so(ikkan: Any, file: Path) -> None:
    told = json.loads(ikkan(str(file), "--level", "1", "--json").stdout)
    assert (told["level"], told["model"]) == (0, None)
    assert "no language model is there" in told["remarks"][-1]
    assert told["extractions"] == json.loads(ikkan(str(file), "--json").stdout)["extractions"]


def test_a_glossary_writes_words_right(ikkan: Any, tmp_path: Path) -> None:
    said, terms = tmp_path / "said.txt", tmp_path / "terms.csv"
    said.write_text("Ann: Action item: call the queue shoe office.\n")
    terms.write_text("queue shoe,Kyushu\n")
    told = json.loads(ikkan(str(said), "--glossary", str(terms), "--json").stdout)
    assert any("Kyushu office" in each["text"] for each in told["extractions"] if each["kind"] == "action")
    assert "queue shoe" in told["segments"][0]["text"], "what was said stays as it was heard"


def test_the_companys_glossary_is_kept(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bootstrap, "settings", lambda: settings)

    def glossary(*words: str) -> Any:
        run = CliRunner().invoke(app, ["meetings", "glossary", *words, "--json"], catch_exceptions=False)
        return json.loads(run.stdout)

    assert glossary("add", "サトー", "佐藤")["terms"] == {"サトー": "佐藤"}
    assert glossary("list")["terms"] == {"サトー": "佐藤"}
    assert glossary("remove", "サトー") == {"removed": True} and glossary("list")["terms"] == {}
