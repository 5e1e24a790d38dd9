"""The report is one file that needs nothing else, and hides nothing."""

from __future__ import annotations

import re
from dataclasses import replace
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from ikkan.flywheel.proof import ARMS, Journal, Plan, page_of, prove
from ikkan.flywheel.proof.drawing import Bar, Line, curves, forest
from ikkan.flywheel.proof.fakes import FakeWorld
from ikkan.flywheel.proof.words import ABOUT, CHECKS, HEADINGS, NOTES
from ikkan.flywheel.proof.words import ARMS as NAMES


@pytest.fixture(scope="module")
def proof(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    world = FakeWorld()
    plan = replace(Plan.of(world, seeds=2, rounds=2), nulls=20)
    found = prove(world, plan, Journal(tmp_path_factory.mktemp("proof") / "journal", plan))
    return {**found, "test": {"accuracy": 0.875}, "finished_at": "2026-06-01T00:00:00+00:00"}


def test_a_report_loads_nothing_and_runs_nothing(proof: dict[str, Any], tmp_path: Path) -> None:
    html = page_of(proof)
    assert not re.search(r"<script|<link|<img|https?:|@import|url\(|\son\w+=", html)
    assert html.count("<svg") == 3 and "prefers-color-scheme: dark" in html


def test_every_interval_and_every_refusal_is_in_it(proof: dict[str, Any]) -> None:
    html = unescape(page_of(proof))
    for arm in ARMS:
        found = proof["arms"][arm]
        assert f"[{found['lower']:+.4f}, {found['upper']:+.4f}]" in html
        assert all(f"{each['lower']:.3f} … {each['upper']:.3f}" in html for each in found["rounds"])
    assert proof["decisions"]
    assert all(each["reasons"][lang] in html for each in proof["decisions"] for lang in ("ja", "en"))
    assert proof["protocol_hash"] in html and '"rounds": 2' in html and ">0.875<" in html


def test_both_languages_are_there_and_either_may_come_first(proof: dict[str, Any]) -> None:
    for language in ("ja", "en"):
        html = page_of(proof, language=language)
        assert f'id="say-{language}" checked' in html and html.count(" checked") == 1
        assert "使うほど良くなるか" in html and "Does use make it better?" in html
    spans = re.findall(r'class=said lang="(ja|en)"', page_of(proof))
    assert spans.count("ja") == spans.count("en") > 50


def test_what_was_never_seen_cannot_break_out(proof: dict[str, Any]) -> None:
    html = page_of({**proof, "trivial": "<script>alert(1)</script>"})
    assert "<script" not in html and "&lt;script&gt;" in html


def test_every_arm_check_and_note_has_words_in_both_languages() -> None:
    assert NAMES.keys() == ABOUT.keys() == set(ARMS)
    for words in (NAMES, ABOUT, CHECKS, HEADINGS, NOTES):
        assert all(said.keys() == {"ja", "en"} and all(said.values()) for said in words.values())


def test_flat_lines_and_single_rounds_are_drawn_too() -> None:
    name = {"ja": "固定", "en": "frozen"}
    assert "<polyline" in curves([Line(name, [(0.5, 0.5, 0.5)]), Line(name, [(0.5, 0.5, 0.5)])])
    assert "<circle" in forest([Bar(name, 0.0, 0.0, 0.0)])
