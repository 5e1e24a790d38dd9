"""The labelled sentences of `language/` keep to their own guide."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from typing import Any

import pytest

LANGUAGE = Path(__file__).parent / "language"
KINDS = {"action", "decision", "question", "proposal"}
OWNED = {"action", "proposal"}


def sentences(language: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (LANGUAGE / f"{language}.jsonl").read_text("utf-8").splitlines()]


@pytest.mark.parametrize("language", ["ja", "zh", "en"])
class TestEachLanguage:
    def test_has_at_least_two_hundred_distinct_sentences(self, language: str) -> None:
        rows = sentences(language)
        assert len({row["text"] for row in rows}) == len({row["id"] for row in rows}) == len(rows) >= 200

    def test_holds_back_a_third_of_plain_talk(self, language: str) -> None:
        rows = sentences(language)
        assert sum(not row["kinds"] for row in rows) * 3 >= len(rows)

    def test_names_speakers_of_the_meeting_and_known_kinds(self, language: str) -> None:
        assert [
            row["id"]
            for row in sentences(language)
            if row["speaker"] not in row["speakers"] or set(row["kinds"]) - KINDS
        ] == []

    def test_gives_owners_and_due_days_to_deeds_alone(self, language: str) -> None:
        assert [
            row["id"] for row in sentences(language) if (row["owner"] or row["due"]) and not OWNED & set(row["kinds"])
        ] == []

    def test_names_every_due_day_in_its_own_words_and_not_before_the_meeting(self, language: str) -> None:
        rows = sentences(language)
        due = [row for row in rows if row["due"]]
        assert [row["id"] for row in rows if bool(row["due"]) != bool(row["due_words"])] == []
        assert [row["id"] for row in due if row["due_words"] not in row["text"]] == []
        assert [row["id"] for row in due if date.fromisoformat(row["due"]) < date.fromisoformat(row["held_on"])] == []
