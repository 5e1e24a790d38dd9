"""What the sample firm knows and how its people ask: counted, distinct, and free of anything real."""

from __future__ import annotations

import ast
import re
import unicodedata
from collections import Counter
from importlib import resources
from pathlib import Path

import pytest

from ikkan.apps.assistant import sample

LANGS = ["ja", "en"]
FILES = {"knowledge.jsonl": 1_000_000, "paraphrases.jsonl": 1_000_000, "outside.jsonl": 50_000}


def plain(text: str) -> str:
    return re.sub(r"[\W_]+", "", unicodedata.normalize("NFKC", text).lower())


def everything_written() -> list[str]:
    entries = [text for entry in sample.knowledge() for text in (entry.question, entry.answer, entry.source)]
    asked = [text for texts in sample.paraphrases().values() for text in texts]
    return entries + asked + [question.text for question in sample.outside()]


@pytest.mark.parametrize("lang", LANGS)
def test_there_are_at_least_160_entries_in_each_language(lang: str) -> None:
    assert sum(entry.lang == lang for entry in sample.knowledge()) >= 160


def test_entry_ids_are_unique_and_end_in_their_language() -> None:
    ids = [entry.entry_id for entry in sample.knowledge()]
    assert len(set(ids)) == len(ids) >= 320
    assert all(entry.entry_id.endswith(f"-{entry.lang}") for entry in sample.knowledge())
    assert all(entry.entry_id.startswith(f"{entry.topic}-") for entry in sample.knowledge())


def test_every_entry_has_a_counterpart_in_the_other_language() -> None:
    stems = {
        lang: {e.entry_id.removesuffix(f"-{lang}") for e in sample.knowledge() if e.lang == lang} for lang in LANGS
    }
    assert stems["ja"] == stems["en"]


def test_every_topic_is_covered_in_both_languages() -> None:
    counted = Counter((entry.lang, entry.topic) for entry in sample.knowledge())
    topics = {"it", "hr", "acc", "ga", "trade", "sales", "wh", "comp"}
    assert set(counted) == {(lang, topic) for lang in LANGS for topic in topics}
    assert min(counted.values()) >= 10


def test_no_question_and_no_answer_stands_twice() -> None:
    questions = Counter(plain(entry.question) for entry in sample.knowledge())
    answers = Counter(plain(entry.answer) for entry in sample.knowledge())
    assert max(questions.values()) == 1
    assert max(answers.values()) == 1


def test_answers_are_concrete_and_short() -> None:
    assert all(25 <= len(entry.answer) <= 420 and entry.source for entry in sample.knowledge())


@pytest.mark.parametrize(("lang", "kana"), [("ja", True), ("en", False)])
def test_entries_are_written_in_their_language(lang: str, kana: bool) -> None:
    texts = [entry.question + entry.answer for entry in sample.knowledge() if entry.lang == lang]
    assert all(bool(re.search("[ぁ-んァ-ヶ]", text)) is kana for text in texts)


def test_every_entry_is_asked_in_at_least_eight_ways() -> None:
    assert set(sample.paraphrases()) == {entry.entry_id for entry in sample.knowledge()}
    assert min(len(texts) for texts in sample.paraphrases().values()) >= 8


def test_a_way_of_asking_belongs_to_one_entry_only() -> None:
    asked = Counter(plain(text) for texts in sample.paraphrases().values() for text in texts)
    asked.update(plain(question.text) for question in sample.outside())
    asked.update({plain(entry.question) for entry in sample.knowledge()})
    assert [text for text, times in asked.items() if times > 1] == []


@pytest.mark.parametrize("lang", LANGS)
def test_at_least_40_questions_have_no_answer_here(lang: str) -> None:
    assert sum(question.lang == lang for question in sample.outside()) >= 40


def test_nothing_looks_like_a_real_address_or_phone_number() -> None:
    forbidden = re.compile(r"[\w.+-]+@[\w-]+|https?://|www\.|\b0\d{1,4}[-( ]?\d{2,4}[-) ]?\d{3,4}\b|\+\d{6,}|\d{7,}|〒")
    assert [text for text in everything_written() if forbidden.search(unicodedata.normalize("NFKC", text))] == []


def test_extensions_have_four_digits() -> None:
    found = [number for text in everything_written() for number in re.findall(r"(?:内線|ext\. ?)(\d+)", text)]
    assert len(found) > 200
    assert {len(number) for number in found} == {4}


def test_counterparts_name_the_same_extensions() -> None:
    extensions = {e.entry_id: set(re.findall(r"(?<![\d,])[2-9]\d{3}(?!\d)", e.answer)) for e in sample.knowledge()}
    stems = sorted({entry_id[:-3] for entry_id in extensions})
    assert [stem for stem in stems if extensions[f"{stem}-ja"] != extensions[f"{stem}-en"]] == []


@pytest.mark.parametrize("name", FILES)
def test_files_stay_small_and_end_with_a_newline(name: str) -> None:
    data = resources.files(sample).joinpath(name).read_bytes()
    assert len(data) <= FILES[name]
    assert data.endswith(b"}\n")


def test_the_sample_imports_nothing_of_ikkan_but_itself() -> None:
    modules = sorted(Path(sample.__file__).parent.glob("*.py"))
    imported = {
        node.module
        for path in modules
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom) and node.module
    }
    ours = {module for module in imported if module.split(".")[0] == "ikkan"}
    assert len(modules) >= 4
    assert all(module.startswith("ikkan.apps.assistant.sample") for module in ours)
