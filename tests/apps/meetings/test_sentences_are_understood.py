"""The rules against the labelled sentences of `language/`, by the same scorer as the benchmark."""

from __future__ import annotations

import importlib.util
import sys
from datetime import date
from pathlib import Path
from types import ModuleType

import pytest

from ikkan.apps.meetings.rules.language import Cue, understand

SCORER = Path(__file__).parents[3] / "benchmarks/meetings_language.py"


@pytest.fixture(scope="module")
def scorer() -> ModuleType:
    spec = importlib.util.spec_from_file_location("meetings_language", SCORER)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("language", ["ja", "zh", "en"])
@pytest.mark.parametrize("field", ["kinds", "owner", "due", "due_words"])
def test_nineteen_in_twenty_are_right(scorer: ModuleType, language: str, field: str) -> None:
    assert scorer.f1(scorer.read_all(language), field) >= 0.95


@pytest.mark.parametrize(
    ("language", "text", "speakers", "kinds", "owner", "due"),
    [
        (
            "ja",
            "B案に決めましたので、田中さんは月末までに用意してください。",
            ("佐藤", "田中 太郎"),
            {"decision", "action"},
            "田中 太郎",
            "2026-03-31",
        ),
        ("ja", "資料は田中さんに送っておきます。", ("佐藤", "田中 太郎"), {"action"}, "佐藤", None),
        ("ja", "総務の大野さんにお願いします。", ("佐藤", "田中 太郎"), {"action"}, "大野", None),
        ("ja", "デザインチームがロゴを直します。", ("佐藤",), {"action"}, None, None),
        ("ja", "先方は承認しましたか？", ("佐藤",), {"question"}, None, None),
        (
            "zh",
            "那就选第二家，李娜周五前把合同签了。",
            ("王建国", "李娜"),
            {"decision", "action"},
            "李娜",
            "2026-03-06",
        ),
        ("zh", "報告我來寫。", ("王建国", "李娜"), {"action"}, "王建国", None),
        ("zh", "娜姐，酒店麻烦你订一下。", ("王建国", "李娜"), {"action"}, "李娜", None),
        ("zh", "请把合同寄给李娜。", ("王建国", "李娜"), {"action"}, None, None),
        ("en", "Will, can you mark up the spec by Friday?", ("Ann Lee", "Will"), {"action"}, "Will", "2026-03-06"),
        ("en", "bob can you send it by friday", ("Ann Lee", "Bob Stone"), {"action"}, "Bob Stone", "2026-03-06"),
        ("en", "I'll ask Bob.", ("Ann Lee", "Bob Stone"), {"action"}, "Ann Lee", None),
        ("en", "If they agree, I'll sign it on Friday.", ("Ann Lee",), set(), None, None),
    ],
)
def test_one_sentence_is_read_as_a_minute_taker_would(
    language: str, text: str, speakers: tuple[str, ...], kinds: set[str], owner: str | None, due: str | None
) -> None:
    said = understand(text, language=language, speaker=speakers[0], speakers=speakers, held_on=date(2026, 3, 4))
    assert ({kind.value for kind in said.kinds}, said.owner, said.due and said.due.isoformat()) == (kinds, owner, due)


def test_of_two_people_with_one_surname_neither_is_chosen() -> None:
    said = understand(
        "田中さん、お願いします。",
        language="ja",
        speaker="佐藤",
        speakers=("佐藤", "田中 太郎", "田中 花子"),
        held_on=date(2026, 3, 4),
    )
    assert (said.kinds, said.owner) == (frozenset({Cue.ACTION}), "田中")


def test_a_language_nobody_wrote_rules_for_is_not_understood() -> None:
    said = understand("Je le ferai demain.", language="fr", speaker="A", speakers=("A",), held_on=None)
    assert (said.kinds, said.owner, said.due) == (frozenset(), None, None)
